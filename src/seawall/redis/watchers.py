"""Whoever wants to know at once when the connection comes and goes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_logger = logging.getLogger("seawall.redis")

Up = Callable[[], object]
Down = Callable[[Exception], object]


class Watchers:
    """Pairs of callbacks, called in the order in which they were added; what one raises stops no other."""

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        self._pairs: tuple[tuple[Up, Down], ...] = ()

    def add(self, up: Up, down: Down) -> Callable[[], None]:
        """Returns what removes them again."""
        pair = (up, down)
        self._pairs = (*self._pairs, pair)

        def remove() -> None:
            self._pairs = tuple(other for other in self._pairs if other is not pair)

        return remove

    def up(self) -> None:
        """The connection is there."""
        for up, _ in self._pairs:
            _call(up)

    def down(self, error: Exception) -> None:
        """It is gone."""
        for _, down in self._pairs:
            _call(down, error)


def _call(callback: Callable[..., object], *args: Any) -> None:
    try:
        callback(*args)
    except Exception:
        _logger.exception("watcher %r failed", callback)
