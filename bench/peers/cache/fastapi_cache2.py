"""fastapi-cache2: a decorator for routes over memory or Redis."""

from contextlib import asynccontextmanager

from fastapi_cache import FastAPICache, JsonCoder
from fastapi_cache.backends.inmemory import InMemoryBackend
from fastapi_cache.backends.redis import RedisBackend
from fastapi_cache.decorator import cache
from redis.asyncio import Redis

from bench.cache_shape import SHARED_TTL, TTL, Reading, Shared

NAME = "fastapi-cache2"
DISTRIBUTIONS = ("fastapi-cache2", "fastapi")
NOTES = {"shared": "no guard against stampedes; no memory in front of Redis"}
WITHOUT = {"policies": "memory without a bound", "full": "memory without a bound"}


async def hit_async(entries):
    backend = InMemoryBackend()
    for key, value in entries.items():
        await backend.set(key, value, TTL)
    return backend.get


def hit_decorated(load, size):
    FastAPICache.reset()
    FastAPICache.init(InMemoryBackend(), prefix="bench")
    return cache(expire=TTL)(load)


@asynccontextmanager
async def redis_get(url, entries):
    async with Redis.from_url(url) as redis:
        backend = RedisBackend(redis)
        for key, value in entries.items():
            await backend.set(key, value.encode(), TTL)
        yield Reading(get=backend.get, unwrap=bytes.decode)


def _key(function, namespace="", *, request=None, response=None, args=(), kwargs=None):
    return args[0]


@asynccontextmanager
async def shared(url, load):
    async with Redis.from_url(url) as redis:
        FastAPICache.reset()
        FastAPICache.init(RedisBackend(redis), key_builder=_key)

        async def put(key, value):
            await FastAPICache.get_backend().set(key, JsonCoder.encode(value), SHARED_TTL)

        yield Shared(call=cache(expire=SHARED_TTL)(load), set=put)
