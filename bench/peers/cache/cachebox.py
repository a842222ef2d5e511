"""cachebox: many policies in Rust."""

from contextlib import asynccontextmanager

import cachebox

from bench.cache_shape import SHARED_TTL, TTL, Shared

NAME = "cachebox"
DISTRIBUTIONS = ("cachebox",)
LOCAL = True
NOTES = {"shared": "each process for itself", "full": "LRUCache", "hit_sync": "TTLCache.get"}
WITHOUT = {"hit_async": "synchronous, but for its decorator"}


def hit_sync(entries):
    return cachebox.TTLCache(len(entries), TTL, iterable=entries).get


def hit_decorated(load, size):
    return cachebox.cached(cachebox.TTLCache(size, TTL))(load)


@asynccontextmanager
async def shared(url, load):
    yield Shared(call=cachebox.cached(cachebox.TTLCache(10_000, SHARED_TTL))(load))


def _requests(kind):
    def make(capacity):
        cache = kind(capacity)

        def request(key):
            if cache.get(key) is not None:
                return True
            cache[key] = key
            return False

        return request

    return make


def policies():
    kinds = (cachebox.LRUCache, cachebox.LFUCache, cachebox.FIFOCache, cachebox.RRCache)
    return {f"cachebox {kind.__name__}": _requests(kind) for kind in kinds}


def full(count):
    cache = cachebox.LRUCache(count)
    for number in range(count):
        cache[f"key:{number}"] = number % 100
    return cache
