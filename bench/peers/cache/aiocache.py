"""aiocache: caches and decorators over memory, Redis or memcached."""

from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiocache

from bench.cache_shape import SHARED_TTL, TTL, Reading, Shared

NAME = "aiocache"
DISTRIBUTIONS = ("aiocache",)
NOTES = {"shared": "cached_stampede with its lease of 2 s; no memory in front of Redis"}
WITHOUT = {"policies": "memory without a bound", "full": "memory without a bound"}


async def hit_async(entries):
    cache = aiocache.SimpleMemoryCache()
    for key, value in entries.items():
        await cache.set(key, value, ttl=TTL)
    return cache.get


def hit_decorated(load, size):
    return aiocache.cached(ttl=TTL, cache=aiocache.SimpleMemoryCache, namespace="decorated")(load)


def _address(url):
    parts = urlsplit(url)
    return {"endpoint": parts.hostname, "port": parts.port, "db": int(parts.path[1:])}


@asynccontextmanager
async def redis_get(url, entries):
    async with aiocache.RedisCache(**_address(url)) as cache:
        for key, value in entries.items():
            await cache.set(key, value, ttl=TTL)
        yield Reading(get=cache.get)


@asynccontextmanager
async def shared(url, load):
    call = aiocache.cached_stampede(
        ttl=SHARED_TTL, cache=aiocache.RedisCache, key_builder=lambda _, key: key, **_address(url)
    )(load)

    async def put(key, value):
        await call.cache.set(key, value, ttl=SHARED_TTL)

    async with call.cache:
        yield Shared(call=call, set=put)
