"""Sessions in a real server: two processes' worth of caches, and the server's death."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from seawall.cache import Cache, MemoryTier, RedisTier, SessionStore
from seawall.testing.valkey import Valkey


@asynccontextmanager
async def two(url: str, namespace: str, *, memory: int = 1000) -> AsyncIterator[tuple[Any, Any]]:
    caches = [Cache(MemoryTier(max_entries=memory), RedisTier(url, namespace=namespace, timeout=0.5)) for _ in range(2)]
    async with caches[0], caches[1]:
        yield SessionStore(caches[0]), SessionStore(caches[1])


@pytest.fixture
def namespace() -> str:
    return uuid4().hex


async def eventually(check) -> None:
    for _ in range(500):
        if await check():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about within 5 s")


@pytest.mark.parametrize("memory", [0, 1000])
def test_two_processes_share_and_end_them(redis_url, namespace, memory):
    async def main() -> None:
        async with two(redis_url, namespace, memory=memory) as (one, other):
            session = await one.create({"basket": ["coffee"]}, user="42")
            theirs = await other.get(session.id)
            assert theirs is not None
            theirs.data["basket"].append("tea")
            assert await other.save(theirs)
            assert await one.save(session)  # the last one stands
            assert (await other.get(session.id)).data == {"basket": ["coffee"]}
            rotated = await one.rotate(session)
            assert await other.get(session.id) is None
            assert not await other.save(theirs)
            await other.delete(rotated.id)
            assert not await one.save(rotated)
            assert await one.get(rotated.id) is None

    asyncio.run(main())


def test_many_saves_and_one_delete_at_once_end_in_the_delete(redis_url, namespace):
    async def main() -> None:
        async with two(redis_url, namespace) as (one, other):
            for _ in range(20):
                session = await one.create({"count": 0})
                ours, theirs = await one.get(session.id), await other.get(session.id)
                saves = [store.save(each) for _ in range(10) for store, each in ((one, ours), (other, theirs))]
                await asyncio.gather(*saves[:10], other.delete(session.id), *saves[10:])
                assert await one.get(session.id) is None
                assert await other.get(session.id) is None

    asyncio.run(main())


def test_logged_out_everywhere(redis_url, namespace):
    async def main() -> None:
        async with two(redis_url, namespace) as (one, other):
            mine, theirs = await one.create({}, user="42"), await one.create({}, user="43")
            assert await other.get(mine.id) is not None
            await other.delete_all("42")
            for store in (one, other):
                assert not await store.save(mine)
                assert await store.rotate(mine) is None
                assert await store.get(mine.id) is None
                assert await store.get(theirs.id) is not None

    asyncio.run(main())


def test_no_key_in_the_server_reveals_an_id(valkey: Valkey, namespace):
    async def main() -> None:
        cache = Cache(MemoryTier(), tier := RedisTier(valkey.url, namespace=namespace, timeout=0.5))
        async with cache:
            sessions = SessionStore(cache)
            session = await sessions.create({}, user="42")
            await sessions.save(session)
            keys = await tier.redis.execute("KEYS", "*")
            assert any(b"session:" in key for key in keys)
            dump = [await tier.redis.execute("DUMP", key) for key in keys]
            assert session.id.encode() not in b"".join([*keys, *dump])

    asyncio.run(main())


def test_they_outlive_a_server_that_stops_answering(valkey: Valkey, namespace):
    async def main() -> None:
        async with two(valkey.url, namespace) as (one, other):
            session, doomed = await one.create({"step": 1}), await one.create({})
            assert await other.get(doomed.id) is not None
            valkey.pause()
            session.data["step"] = 2
            assert await one.save(session)
            made = await one.create({"made": "away"})
            await one.delete(doomed.id)
            assert (await one.get(session.id)).data == {"step": 2}
            assert await one.get(doomed.id) is None
            valkey.resume()

            async def told() -> bool:
                found, new = await other.get(session.id), await other.get(made.id)
                gone = await other.get(doomed.id) is None
                return gone and found is not None and found.data == {"step": 2} and new is not None

            await eventually(told)
            assert not await other.save(doomed)

    asyncio.run(main())
