"""cachekit: a decorator over memory and Redis, with lock, breaker and backpressure."""

import os
from contextlib import asynccontextmanager

from cachekit import cache
from cachekit.backends.redis import RedisBackend

from bench.cache_shape import SHARED_TTL, TTL, Reading, Shared

NAME = "cachekit"
DISTRIBUTIONS = ("cachekit",)
NOTES = {
    "hit_decorated": "@cache.local, which keeps references and no bytes",
    "hit_sync": "@cache.local around a def",
    "redis_get": "@cache.minimal without its memory",
    "shared": "@cache.production: memory in front of Redis, lock, breaker",
}
WITHOUT = {"hit_async": "decorators only", "policies": "LRU", "full": "decorators only"}


def hit_decorated(load, size):
    return cache.local(ttl=TTL, max_entries=size)(load)


def hit_sync(entries):
    @cache.local(ttl=TTL, max_entries=len(entries))
    def get(key):
        return entries[key]

    for key in entries:
        get(key)
    return get


@asynccontextmanager
async def redis_get(url, entries):
    @cache.minimal(ttl=TTL, backend=RedisBackend(url), l1_enabled=False)
    async def get(key: str) -> str:
        return entries[key]

    for key in entries:
        await get(key)
    yield Reading(get=get)


@asynccontextmanager
async def shared(url, load):
    os.environ["CACHEKIT_REDIS_URL"] = url  # a backend made of a URL in code has no lock
    yield Shared(call=cache.production(ttl=SHARED_TTL)(load))
