"""async-lru: `functools.lru_cache` for coroutines, with a time to live."""

from contextlib import asynccontextmanager

from async_lru import alru_cache

from bench.cache_shape import SHARED_TTL, TTL, Shared

NAME = "async-lru"
DISTRIBUTIONS = ("async-lru",)
LOCAL = True
NOTES = {"shared": "each process for itself"}
WITHOUT = {"hit_async": "a decorator only", "policies": "a decorator only; LRU", "full": "a decorator only"}


def hit_decorated(load, size):
    return alru_cache(maxsize=size, ttl=TTL)(load)


@asynccontextmanager
async def shared(url, load):
    yield Shared(call=alru_cache(maxsize=10_000, ttl=SHARED_TTL)(load))
