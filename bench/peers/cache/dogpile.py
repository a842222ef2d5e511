"""dogpile.cache: regions and the dogpile lock, for threads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from dogpile.cache import make_region

from bench.cache_shape import SHARED_TTL, TTL, Shared

NAME = "dogpile.cache"
DISTRIBUTIONS = ("dogpile.cache",)
NOTES = {"shared": "synchronous, so through 32 threads a process; its distributed lock"}
WITHOUT = dict.fromkeys(("hit_async", "hit_decorated", "redis_get"), "synchronous") | {
    "policies": "memory without a bound",
    "full": "memory without a bound",
}
THREADS = 32


def hit_sync(entries):
    region = make_region().configure("dogpile.cache.memory", expiration_time=TTL)
    region.set_multi(entries)
    return region.get


@asynccontextmanager
async def shared(url, load):
    arguments = {"url": url, "distributed_lock": True, "thread_local_lock": False, "redis_expiration_time": SHARED_TTL}
    region = make_region().configure("dogpile.cache.redis", expiration_time=SHARED_TTL, arguments=arguments)
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(THREADS)

    async def call(key):
        def create():
            return asyncio.run_coroutine_threadsafe(load(key), loop).result()

        return await loop.run_in_executor(pool, region.get_or_create, key, create)

    async def put(key, value):
        await loop.run_in_executor(pool, region.set, key, value)

    try:
        yield Shared(call=call, set=put)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
