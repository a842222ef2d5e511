"""Seawall itself, through its public interface only."""

from contextlib import asynccontextmanager

from bench.cache_shape import SHARED_TTL, TTL, Reading, Shared
from seawall.cache import Cache, Freshness, MemoryTier, RedisTier
from seawall.cache.meter import Meter

NAME = "seawall"
DISTRIBUTIONS = ("seawall", "msgspec")
NOTES = {"policies": "a request is what `Cache` does in `MemoryTier`: look up and count, else put"}


async def _filled(entries):
    cache = await Cache(MemoryTier(max_entries=len(entries))).__aenter__()
    for key, value in entries.items():
        await cache.set(key, value, ttl=TTL)
    return cache


async def hit_async(entries):
    return (await _filled(entries)).get


async def hit_sync(entries):
    return (await _filled(entries)).get_nowait


async def hit_decorated(load, size):
    cache = await Cache(MemoryTier(max_entries=size)).__aenter__()
    return cache.cached("bench:{key}", ttl=TTL)(load)


@asynccontextmanager
async def redis_get(url, entries):
    async with Cache(RedisTier(url)) as cache:
        for key, value in entries.items():
            await cache.set(key, value, ttl=TTL)
        yield Reading(get=cache.get)


@asynccontextmanager
async def shared(url, load):
    async with Cache(MemoryTier(), RedisTier(url)) as cache:

        async def put(key, value):
            await cache.set(key, value, ttl=SHARED_TTL, type=str)

        yield Shared(call=cache.cached("{key}", ttl=SHARED_TTL)(load), set=put)


def _store(capacity):
    memory, freshness, meter = MemoryTier(max_entries=capacity), Freshness(), Meter("default", "bench")
    now = memory.clock.monotonic()

    def put(key, value):
        memory.put(key, value, version=1, stored=now, fresh_until=now + TTL, freshness=freshness, meter=meter)

    return memory, put


def _requests(capacity):
    memory, put = _store(capacity)
    nodes = memory.nodes

    def request(key):
        node = nodes.get(key)
        if node is None:
            put(key, key)
            return False
        node.hits += 1
        return True

    return request


def policies():
    return {NAME: _requests}


def full(count):
    memory, put = _store(count)
    for number in range(count):
        put(f"key:{number}", number % 100)
    return memory
