"""async-cache: LRU and time to live for coroutines, with one load at a time."""

from contextlib import asynccontextmanager

from cache import AsyncTTL
from cache.async_cache import AsyncCache

from bench.cache_shape import SHARED_TTL, TTL, Shared

NAME = "async-cache"
DISTRIBUTIONS = ("async-cache",)
LOCAL = True
NOTES = {"shared": "each process for itself"}
WITHOUT = {"policies": "LRU"}


async def hit_async(entries):
    cache = AsyncCache(maxsize=len(entries), default_ttl=TTL)
    for key, value in entries.items():
        cache.set(key, value)
    return cache.get


def hit_decorated(load, size):
    return AsyncTTL(time_to_live=TTL, maxsize=size)(load)


@asynccontextmanager
async def shared(url, load):
    cache = AsyncCache(maxsize=10_000, default_ttl=SHARED_TTL)

    async def call(key):
        return await cache.get(key, loader=lambda: load(key))

    yield Shared(call=call)


def full(count):
    cache = AsyncCache(maxsize=count)
    for number in range(count):
        cache.set(f"key:{number}", number % 100)
    return cache
