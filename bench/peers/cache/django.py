"""Django's cache framework, its asynchronous methods; each goes through a thread."""

from contextlib import asynccontextmanager

from django.conf import settings
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from bench.cache_shape import SHARED_TTL, TTL, Reading, Shared

NAME = "Django"
DISTRIBUTIONS = ("django",)
NOTES = {"shared": "aget, on a miss load and aset; no guard; no memory in front of Redis"}
WITHOUT = {"hit_decorated": "decorators for views only", "policies": "culls at random", "full": "culls at random"}

if not settings.configured:
    settings.configure(USE_TZ=True)


def _memory(entries, name):
    cache = LocMemCache(name, {"TIMEOUT": TTL, "OPTIONS": {"MAX_ENTRIES": 2 * len(entries)}})
    cache.set_many(entries)
    return cache


def hit_async(entries):
    return _memory(entries, "async").aget


def hit_sync(entries):
    return _memory(entries, "sync").get


@asynccontextmanager
async def redis_get(url, entries):
    cache = RedisCache(url, {"TIMEOUT": TTL})
    await cache.aset_many(entries)
    yield Reading(get=cache.aget)


@asynccontextmanager
async def shared(url, load):
    cache = RedisCache(url, {"TIMEOUT": SHARED_TTL})

    async def call(key):
        value = await cache.aget(key)
        if value is None:
            value = await load(key)
            await cache.aset(key, value)
        return value

    yield Shared(call=call, set=cache.aset)
