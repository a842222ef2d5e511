"""A `with` block that is measured."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from seawall.profiling.series import Series
from seawall.profiling.wrapping import Switch


class Block:
    """Measures what happens between its `with` and its end. It can be entered again, not twice at once."""

    __slots__ = ("_began", "_series", "_switch")

    def __init__(self, switch: Switch, series: Callable[[], Series]) -> None:
        self._switch = switch
        self._series = series
        self._began: float | None = None

    def __enter__(self) -> None:
        self._began = self._switch.now() if self._switch.running else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._began is not None and self._switch.running:
            series = self._series()
            series.add(self._switch.now() - self._began)
            if isinstance(error, Exception):
                series.failed()
