"""An entry in memory, and what is kept of its value."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable
from copy import copy
from typing import Any

from seawall.cache.freshness import Freshness
from seawall.cache.meter import Meter


class Packed:
    """A value that callers could change, kept as bytes and decoded for each of them."""

    __slots__ = ("codec", "data")

    def __init__(self, data: bytes, codec: Any) -> None:
        self.data = data
        self.codec = codec

    def unpack(self) -> Any:
        """A copy of the value, the caller's own."""
        return self.codec.decode(self.data)


class Raised:
    """An error that is an answer."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def again(self) -> Exception:
        """A copy of the error, the caller's own: what he adds to it nobody else sees."""
        try:
            again = copy(self.error)
        except Exception:  # noqa: BLE001 - a class decides how it is made, and what it raises
            return self.error.with_traceback(None)
        if hasattr(again, "__notes__"):
            again.__notes__ = list(again.__notes__)
        again.__cause__ = self.error.__cause__
        return again


class Node:
    """An entry in memory. Times are seconds of the monotonic clock; `version` orders it among writes of its key."""

    __slots__ = (
        "aliases", "epoch", "fresh_until", "freshness", "gone", "hits", "key", "main", "meter", "read_as",
        "refresh_at", "rests_until", "seen", "stored", "tags", "validator", "value", "version", "weight",
    )  # fmt: skip

    key: str
    value: Any
    read_as: Any
    """What it is known to be: its class, or the type as which it was last read."""
    version: int
    stored: float
    fresh_until: float
    refresh_at: float
    rests_until: float
    freshness: Freshness
    tags: tuple[str, ...]
    validator: str | None
    epoch: int
    meter: Meter
    weight: int
    hits: float  # a whole number; adding to a float takes two thirds of what adding to an int takes
    seen: float
    main: bool
    gone: bool
    aliases: list[tuple[dict[Any, Node], Hashable]] | None

    def __init__(self, key: str) -> None:
        self.key = key
        self.hits = 0.0
        self.seen = 0.0
        self.main = False
        self.gone = False
        self.weight = 0
        self.tags = ()
        self.aliases = None

    @property
    def serve_until(self) -> float:
        """Until then a stale answer is given while a fresh one is fetched."""
        return self.fresh_until + self.freshness.stale_while_revalidate

    @property
    def keep_until(self) -> float:
        """Until then it may stand in for a loader that fails."""
        return self.fresh_until + max(self.freshness.fail_safe, self.freshness.stale_while_revalidate)


def size_of(value: Any) -> int:
    """About how many bytes a value takes that is not encoded: its own, and those of what a tuple holds."""
    size = sys.getsizeof(value, 64)
    if isinstance(value, tuple | frozenset):
        parts: Iterable[Any] = value
        size += sum(size_of(part) for part in parts)
    return size
