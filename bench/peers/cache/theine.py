"""theine: W-TinyLFU in Rust, with a decorator for functions and coroutines."""

from contextlib import asynccontextmanager
from datetime import timedelta

import theine

from bench.cache_shape import SHARED_TTL, TTL, Shared

NAME = "theine"
DISTRIBUTIONS = ("theine", "theine-core")
LOCAL = True
NOTES = {"shared": "each process for itself"}


def hit_sync(entries):
    cache = theine.Cache(2 * len(entries))
    for key, value in entries.items():
        cache.set(key, value, timedelta(seconds=TTL))
    get = cache.get
    return lambda key: get(key)[0]


def hit_decorated(load, size):
    return theine.Memoize(2 * size, timedelta(seconds=TTL))(load)


@asynccontextmanager
async def shared(url, load):
    memoized = theine.Memoize(10_000, timedelta(seconds=SHARED_TTL))(load)

    async def call(key):
        return await memoized(key)

    yield Shared(call=call)


def _requests(capacity):
    cache = theine.Cache(capacity)

    def request(key):
        if cache.get(key)[1]:
            return True
        cache.set(key, key)
        return False

    return request


def policies():
    return {NAME: _requests}


def full(count):
    cache = theine.Cache(count)
    for number in range(count):
        cache.set(f"key:{number}", number % 100)
    return cache
