"""cachetools: the classic policies in Python."""

import cachetools

from bench.cache_shape import TTL

NAME = "cachetools"
DISTRIBUTIONS = ("cachetools",)
NOTES = {"full": "LRUCache", "hit_sync": "TTLCache.get, without a lock"}
WITHOUT = {"hit_async": "synchronous", "hit_decorated": "synchronous", "shared": "synchronous"}


def hit_sync(entries):
    cache = cachetools.TTLCache(len(entries), TTL)
    cache.update(entries)
    return cache.get


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
    return {"cachetools LFUCache": _requests(cachetools.LFUCache)}


def full(count):
    cache = cachetools.LRUCache(count)
    for number in range(count):
        cache[f"key:{number}"] = number % 100
    return cache
