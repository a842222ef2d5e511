"""Seawall's tier in Redis by itself: what `Cache` asks when memory does not have a key."""

from contextlib import asynccontextmanager

from bench.cache_shape import TTL, Reading
from seawall.cache import RedisTier
from seawall.cache.record import VALUE, Record

NAME = "seawall RedisTier"
WITHOUT = dict.fromkeys(("hit_async", "hit_sync", "hit_decorated", "shared", "policies", "full"), "a part of Seawall")


@asynccontextmanager
async def redis_get(url, entries):
    async with RedisTier(url, namespace="bench") as tier:

        async def write(key, value):
            now = tier.clock()
            record = Record(
                kind=VALUE, version=0, stored=now, fresh_until=now + TTL, keep_until=now + TTL, fingerprint=b"\0" * 8,
                tags=(), validator=None, transforms=b"", payload=value.encode(),
            )  # fmt: skip
            await tier.write(key, record, keep=TTL)

        for key, value in entries.items():
            await write(key, value)
        yield Reading(get=tier.get, unwrap=lambda record: record.payload.decode())
