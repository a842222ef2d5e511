"""The configuration every cache gets, and what its abilities hand back, so that the figures compare like with like."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

ENTRIES = 10_000
"""Entries in memory while a hit is timed."""

TTL = 3_600
"""Seconds an entry lives: no run sees one expire."""

SHARED_TTL = 60
"""Seconds an entry lives that processes share."""

KEYS = 1_000
"""Keys in Redis while its throughput is measured."""

VALUE = "v" * 100
"""A value in Redis."""

Load = Callable[[str], Awaitable[str]]
"""What is cached: loads the value of a key."""

Get = Callable[[str], Awaitable[Any]]
Request = Callable[[int], bool]
"""Asks a cache for a key, puts it there if it is not, and says whether it was."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A cache in Redis: what is timed, and what makes a value of its answer (once, to see that it answers)."""

    get: Get
    unwrap: Callable[[Any], Any] = lambda answer: answer


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A cached function that processes share, and how a new value is put under a key, where that can be done."""

    call: Load
    set: Callable[[str, str], Awaitable[Any]] | None = None
