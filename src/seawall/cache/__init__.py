"""The cache: memory in front, Redis or Valkey behind, one truth between them.

cache = Cache(MemoryTier(), RedisTier("redis://127.0.0.1:6379/0"))

@cache.cached("podcasts:{tenant_id}", ttl=300, tags=["tenant:{tenant_id}"])
async def podcasts(tenant_id: UUID) -> list[Podcast]: ...
"""

from typing import TYPE_CHECKING

from seawall.cache.advice import Recommendation, Severity
from seawall.cache.analytics import CacheStatistics, Counts, HotKey, LoadTimes, TemplateStatistics, TierStatistics
from seawall.cache.cache import Cache
from seawall.cache.codec import Codec, PickleCodec, TypedCodec
from seawall.cache.decorator import CachedFunction
from seawall.cache.errors import (
    CacheError,
    DecodeError,
    LoadFailedError,
    LoadTimeoutError,
    UnserializableError,
    UnstableKeyError,
    ValueTooLargeError,
)
from seawall.cache.events import (
    CacheEvent,
    CacheLoaded,
    CacheLoadFailed,
    CacheRefused,
    CacheTierLost,
    CacheTierReturned,
    CacheWarmed,
    CacheWarmingFailed,
)
from seawall.cache.freshness import Freshness
from seawall.cache.keys import KeyTemplate
from seawall.cache.loading import MISSING, Load, loading
from seawall.cache.memory import MemoryStatistics, MemoryTier
from seawall.cache.sessions import Session, SessionStore
from seawall.cache.tier import Tier, TierUnavailableError
from seawall.cache.warming import Warmer
from seawall.cache.warming_report import StrategyStatistics, WarmingReport, WarmingState

if TYPE_CHECKING:
    from seawall.cache.redis import RedisTier

__all__ = [
    "MISSING",
    "Cache",
    "CacheError",
    "CacheEvent",
    "CacheLoadFailed",
    "CacheLoaded",
    "CacheRefused",
    "CacheStatistics",
    "CacheTierLost",
    "CacheTierReturned",
    "CacheWarmed",
    "CacheWarmingFailed",
    "CachedFunction",
    "Codec",
    "Counts",
    "DecodeError",
    "Freshness",
    "HotKey",
    "KeyTemplate",
    "Load",
    "LoadFailedError",
    "LoadTimeoutError",
    "LoadTimes",
    "MemoryStatistics",
    "MemoryTier",
    "PickleCodec",
    "Recommendation",
    "RedisTier",
    "Session",
    "SessionStore",
    "Severity",
    "StrategyStatistics",
    "TemplateStatistics",
    "Tier",
    "TierStatistics",
    "TierUnavailableError",
    "TypedCodec",
    "UnserializableError",
    "UnstableKeyError",
    "ValueTooLargeError",
    "Warmer",
    "WarmingReport",
    "WarmingState",
    "loading",
]


def __getattr__(name: str) -> object:
    if name == "RedisTier":
        from seawall.cache.redis import RedisTier  # noqa: PLC0415 - the redis extra is optional

        return RedisTier
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
