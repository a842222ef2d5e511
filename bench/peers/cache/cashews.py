"""cashews: decorators with locks and early refresh over memory or Redis."""

from contextlib import asynccontextmanager

from cashews import Cache

from bench.cache_shape import SHARED_TTL, TTL, Reading, Shared

NAME = "cashews"
DISTRIBUTIONS = ("cashews",)
NOTES = {"shared": "lock=True; no memory in front of Redis"}
WITHOUT = {"policies": "LRU", "full": "its set is asynchronous"}


async def hit_async(entries):
    cache = Cache()
    cache.setup("mem://", size=len(entries))
    for key, value in entries.items():
        await cache.set(key, value, expire=TTL)
    return cache.get


def hit_decorated(load, size):
    cache = Cache()
    cache.setup("mem://", size=size)
    return cache(ttl=TTL, key="{key}")(load)


@asynccontextmanager
async def redis_get(url, entries):
    cache = Cache()
    cache.setup(url)
    for key, value in entries.items():
        await cache.set(key, value, expire=TTL)
    try:
        yield Reading(get=cache.get)
    finally:
        await cache.close()


@asynccontextmanager
async def shared(url, load):
    cache = Cache()
    cache.setup(url)

    async def put(key, value):
        await cache.set(key, value, expire=SHARED_TTL)

    try:
        yield Shared(call=cache(ttl=SHARED_TTL, key="{key}", lock=True)(load), set=put)
    finally:
        await cache.close()
