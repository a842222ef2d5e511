"""Whatever stands in Redis under our keys: a miss or the right value, never an error, and the next write heals it."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from seawall.cache import Cache, Freshness, MemoryTier, RedisTier, UnserializableError
from seawall.cache.record import NEWEST

MISS = "miss"
OTHERS = b"ved0 -+_9\xff"
"""Bytes that mean something somewhere in a record."""


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def namespace(request) -> str:
    return f"bad-input-{abs(hash(request.node.nodeid))}"


@asynccontextmanager
async def two(url: str, namespace: str) -> AsyncIterator[tuple[Cache, Cache]]:
    """One that remembers, and one that asks each time."""
    freshness = Freshness(jitter=0.0, negative_errors=(KeyError,))
    tiers = [RedisTier(url, namespace=namespace, timeout=2.0) for _ in range(2)]
    async with (
        Cache(MemoryTier(), tiers[0], freshness=freshness) as a,
        Cache(MemoryTier(max_entries=0), tiers[1], freshness=freshness) as b,
    ):
        yield a, b


def stored(cache: Cache, key: str) -> bytes:
    assert isinstance(cache.tier, RedisTier)
    return cache.tier._key(key)


def nobody() -> None:
    raise KeyError("nobody")


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.torture, id="every"), pytest.param(7, id="some")])
@pytest.mark.parametrize(
    ("value", "tags"),
    [(5, ()), (["a", "b"], ("t", "u")), ({"a": 1}, ("t",)), (KeyError, ())],
    ids=["number", "pair", "dict", "error"],
)
def test_damaged_bytes(redis_url, client, namespace, value, tags, step):
    async def ask(call: Any) -> Any:
        try:
            return await call
        except KeyError as error:
            return type(error) if error.args == ("nobody",) else error

    async def main() -> None:
        async with two(redis_url, namespace) as (a, b):
            if value is KeyError:
                assert await ask(a.get_or_set("k", nobody)) is KeyError
            else:
                await a.set("k", value, tags=tags)
            at = stored(a, "k")
            raw: bytes = client.get(at)
            damaged = [raw[:cut] for cut in range(len(raw))]
            damaged += [raw + b"x", raw + raw, b"\0" * 100, b"x" * 1_000_000]
            for position in range(len(raw)):
                flipped = [raw[position] ^ (1 << bit) for bit in range(8)]
                damaged += [raw[:position] + bytes([each]) + raw[position + 1 :] for each in (*flipped, *OTHERS)]
            for bytes_ in damaged[::step]:
                client.set(at, bytes_)
                a.memory.clear()
                for cache in (a, b):
                    assert await ask(cache.get("k", MISS)) in (MISS, value), bytes_
                assert await ask(a.get_or_set("k", lambda: 77)) in (77, value), bytes_
                await a.set("k", 78)
                assert await b.get("k") == 78, bytes_
            assert a.shared.available

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["list", "hash", "text", "number", "stream"])
def test_keys_of_another_type_keep_nobody_away(redis_url, client, namespace, kind):
    """A write that the server can never make would be offered to it for ever, and the tier be away for as long."""

    def put(key: bytes) -> None:
        if kind == "list":
            client.rpush(key, "x")
        elif kind == "hash":
            client.hset(key, "x", "y")
        elif kind == "stream":
            client.xadd(key, {"x": "y"})
        else:
            client.set(key, "hello" if kind == "text" else NEWEST * 2)

    async def main() -> None:
        async with two(redis_url, namespace) as (a, b):
            assert isinstance(a.tier, RedisTier)
            for key in ("read", "loaded", "written", "deleted"):
                put(stored(a, key))
                put(stored(a, key) + b":lease")
            put(a.tier._tag("t"))
            assert await a.get("read") is None
            assert await asyncio.wait_for(a.get_or_set("loaded", lambda: 1), 1.0) == 1
            await a.set("written", 2, tags=["t"])
            await a.delete("deleted")
            assert await b.get("written") == 2
            await b.invalidate("t")
            await asyncio.sleep(0.05)
            assert [await cache.get("written") for cache in (a, b)] == [None, None]
            assert a.shared.available
            assert b.shared.available
            assert len(a.shared.journal) == len(b.shared.journal) == 0

    asyncio.run(main())


@pytest.mark.parametrize("key", [" ", "a b\n", "x\0y", "{}{", "😀", "\ud800", "k" * 10_000, "*", "~7B", "é" * 300])
def test_odd_keys_and_tags(redis_url, namespace, key):
    async def main() -> None:
        async with two(redis_url, namespace) as (a, b):
            tag = key.replace("\0", "") if key != "*" else "t"
            assert await a.get_or_set(key, lambda: [1], tags=[tag]) == [1]
            assert await b.get(key) == [1]
            await b.set(key, [2], tags=[tag, *(f"tag:{number}" for number in range(10_000))])
            await asyncio.sleep(0.05)
            assert await a.get(key) == [2]
            await b.invalidate(tag)
            await asyncio.sleep(0.05)
            assert [await cache.get(key) for cache in (a, b)] == [None, None]
            await a.set(key, [3])
            await b.delete(key)
            await asyncio.sleep(0.05)
            assert [await cache.get(key) for cache in (a, b)] == [None, None]

    asyncio.run(main())


def made(fields: list[Any]) -> type:
    return dataclasses.make_dataclass("Podcast", fields, namespace={"__module__": __name__})


def test_a_type_that_has_changed_is_a_miss(redis_url, namespace):
    old = made([("name", str)])
    changed: list[Callable[[], Any]] = [
        lambda: made([("name", str), ("length", int)]), lambda: made([("name", int)]), lambda: made([("title", str)]),
        lambda: str, lambda: list[str],
    ]  # fmt: skip

    async def main() -> None:
        async with two(redis_url, namespace) as (a, b):
            for make in changed:
                await a.set("k", old("a"), type=old)
                new = make()
                found: object = await b.get("k", None, new)
                assert found is None
                again: object = await b.get("k", None, old)
                assert again == old("a")

    asyncio.run(main())


def test_a_value_that_can_not_be_kept_gives_the_lease_back(redis_url, namespace):
    async def main() -> None:
        async with two(redis_url, namespace) as (a, b):
            with pytest.raises(UnserializableError):
                await a.get_or_set("k", lambda: nobody)
            assert await asyncio.wait_for(b.get_or_set("k", lambda: 1), 1.0) == 1

    asyncio.run(main())


def test_callers_cancelled_at_any_moment_leave_no_lease(redis_url, namespace):
    async def main() -> None:
        async with two(redis_url, namespace) as (a, b):
            for count in range(60):
                call = asyncio.ensure_future(a.get_or_set(f"k:{count}", lambda: asyncio.sleep(0.01, "a")))
                if count < 30:
                    for _ in range(count):
                        await asyncio.sleep(0)
                else:
                    await asyncio.sleep((count - 30) * 0.0005)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                assert await asyncio.wait_for(b.get_or_set(f"k:{count}", lambda: "b"), 1.0) in {"a", "b"}
            assert (a.shared.flights, a.shared.waiters, a.shared._interests) == ({}, {}, {})

    asyncio.run(main())
