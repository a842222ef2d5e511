"""The cache: memory in front, Redis or Valkey behind, one truth between them.

cache = Cache(MemoryTier(), RedisTier("redis://127.0.0.1:6379/0"))

@cache.cached("podcasts:{tenant_id}", ttl=300, tags=["tenant:{tenant_id}"])
async def podcasts(tenant_id: UUID) -> list[Podcast]: ...
"""

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
)
from seawall.cache.freshness import Freshness
from seawall.cache.keys import KeyTemplate
from seawall.cache.loading import MISSING, Load, loading
from seawall.cache.memory import MemoryStatistics, MemoryTier
from seawall.cache.tier import Tier, TierUnavailableError

__all__ = [
    "MISSING",
    "Cache",
    "CacheError",
    "CacheEvent",
    "CacheLoadFailed",
    "CacheLoaded",
    "CacheRefused",
    "CacheTierLost",
    "CacheTierReturned",
    "CachedFunction",
    "Codec",
    "DecodeError",
    "Freshness",
    "KeyTemplate",
    "Load",
    "LoadFailedError",
    "LoadTimeoutError",
    "MemoryStatistics",
    "MemoryTier",
    "PickleCodec",
    "RedisTier",
    "Tier",
    "TierUnavailableError",
    "TypedCodec",
    "UnserializableError",
    "UnstableKeyError",
    "ValueTooLargeError",
    "loading",
]


def __getattr__(name: str) -> object:
    if name == "RedisTier":
        from seawall.cache.redis import RedisTier  # noqa: PLC0415 - the redis extra is optional

        return RedisTier
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
