"""What the cache reports."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Event


@dataclass(frozen=True, kw_only=True)
class CacheEvent(Event):
    """Something happened in the cache `cache`."""

    cache: str


@dataclass(frozen=True, kw_only=True)
class CacheLoaded(CacheEvent):
    """A loader brought a value, `seconds` after it was asked."""

    key: str
    category: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CacheLoadFailed(CacheEvent):
    """A loader failed with `error`. stale: an older answer was given in its place."""

    key: str
    category: str
    error: BaseException
    stale: bool


@dataclass(frozen=True, kw_only=True)
class CacheRefused(CacheEvent):
    """A loaded value is not kept; `reason` says why."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CacheTierLost(CacheEvent):
    """The shared tier is away; memory serves."""

    tier: str


@dataclass(frozen=True, kw_only=True)
class CacheTierReturned(CacheEvent):
    """The shared tier is back, after `seconds`; `replayed` changes made meanwhile were told to it."""

    tier: str
    seconds: float
    replayed: int


@dataclass(frozen=True, kw_only=True)
class CacheWarmed(CacheEvent):
    """A warming strategy came to its end after `seconds`: so many of its jobs were done, so many failed."""

    strategy: str
    done: int
    failed: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CacheWarmingFailed(CacheEvent):
    """A job of a warming strategy failed with `error`, or the strategy itself did; the others go on."""

    strategy: str
    error: BaseException
