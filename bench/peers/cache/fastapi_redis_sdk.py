"""fastapi-redis-sdk: Redis's own helpers for FastAPI."""

from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis_fastapi.cache_backend import CacheBackend

from bench.cache_shape import SHARED_TTL, TTL, Reading, Shared

NAME = "fastapi-redis-sdk"
DISTRIBUTIONS = ("fastapi-redis-sdk",)
NOTES = {"shared": "get, on a miss load and set, with its CacheBackend: its decorator is for routes; no guard"}
WITHOUT = dict.fromkeys(("hit_async", "hit_sync", "hit_decorated", "policies", "full"), "no cache in memory")


@asynccontextmanager
async def redis_get(url, entries):
    async with Redis.from_url(url) as redis:
        cache = CacheBackend(redis)
        for key, value in entries.items():
            await cache.set(key, value, ttl=TTL)
        yield Reading(get=cache.get)


@asynccontextmanager
async def shared(url, load):
    async with Redis.from_url(url) as redis:
        cache = CacheBackend(redis)

        async def call(key):
            value = await cache.get(key)
            if value is None:
                value = await load(key)
                await cache.set(key, value, ttl=SHARED_TTL)
            return value

        async def put(key, value):
            await cache.set(key, value, ttl=SHARED_TTL)

        yield Shared(call=call, set=put)
