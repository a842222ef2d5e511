"""A cluster of real servers: keys on three primaries, slots that move, a primary that dies."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from redis.crc import key_slot

from seawall.core import Status
from seawall.redis import Redis, RedisCommandError, RedisError, RedisUnavailableError, Script
from seawall.testing.valkey import Valkey
from seawall.testing.valkey import _free_port as free_port
from tests.integration.redis_waiting import PATIENT, Ups, run

INCREMENT = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
RANGES = [(0, 5460), (5461, 10922), (10923, 16383)]


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await true():
            await asyncio.sleep(0.02)


async def form(primaries: list[Valkey], buses: list[int], replica: Valkey | None) -> None:
    nodes = [*primaries, *([] if replica is None else [replica])]
    async with asyncio.TaskGroup() as group:
        for number, node in enumerate(nodes):
            group.create_task(join(node, buses, nodes, RANGES[number] if number < 3 else None))
    if replica is not None:
        async with Redis(primaries[0].url, **PATIENT) as first, Redis(replica.url, **PATIENT) as last:
            identity = await first.execute("CLUSTER", "MYID")

            async def replicates() -> bool:
                try:
                    await last.execute("CLUSTER", "REPLICATE", identity)
                except RedisCommandError:
                    return False
                return True

            await until(replicates)

            async def follows() -> bool:
                return b"master_link_status:up" in bytes(await last.execute("INFO", "replication"))

            await until(follows)


async def join(node: Valkey, buses: list[int], nodes: list[Valkey], slots: tuple[int, int] | None) -> None:
    async with Redis(node.url, timeout=1.0) as redis:
        if slots is not None:
            await redis.execute("CLUSTER", "ADDSLOTSRANGE", *slots)
            await redis.execute("CLUSTER", "SET-CONFIG-EPOCH", slots[0] + 1)
        for other, bus in zip(nodes, buses, strict=True):
            if other is not node:
                await redis.execute("CLUSTER", "MEET", "127.0.0.1", other.port, bus)

        async def complete() -> bool:
            info = await redis.execute("CLUSTER", "INFO")
            return b"cluster_state:ok" in info and b"cluster_known_nodes:%d" % len(nodes) in info

        await until(complete)


def cluster_of(start: Callable[..., Valkey], *, replica: bool = False) -> list[Valkey]:
    buses = [free_port() for _ in range(3 + replica)]
    nodes = [
        start(
            config={
                "cluster-enabled": "yes",
                "cluster-port": bus,
                "cluster-node-timeout": 1000,
                "cluster-require-full-coverage": "no",
                "repl-diskless-sync-delay": 0,
            }
        )
        for bus in buses
    ]
    asyncio.run(form(nodes[:3], buses, nodes[3] if replica else None))
    return nodes


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Valkey]]:
    with ExitStack() as running:
        yield cluster_of(lambda **options: running.enter_context(Valkey(**options)))


def key_of(node: int) -> bytes:
    """A key whose slot that node had in the beginning."""
    first, last = RANGES[node]
    return next(b"key:%d" % each for each in range(1000) if first <= key_slot(b"key:%d" % each) <= last)


def test_every_command_finds_its_node(nodes):
    async def main() -> None:
        async with Redis.cluster(nodes[1].url, **PATIENT) as redis:
            assert redis.connected
            assert (await redis.check()).status is Status.HEALTHY
            keys = [b"spread:%d" % number for number in range(300)]
            await asyncio.gather(*(redis.execute("SET", each, each) for each in keys))
            assert await asyncio.gather(*map(redis.get, keys)) == keys
            for node in nodes:
                async with Redis(node.url, **PATIENT) as one:
                    assert await one.execute("DBSIZE") > 50
            counts = await asyncio.gather(*(redis.run(INCREMENT, [b"n:" + each], [2]) for each in keys))
            assert counts == [2] * 300
            heard: list[Any] = []
            redis.get_then(keys[0], heard.append)
            redis.execute_then(("GET", keys[1]), heard.append)
            redis.run_then(INCREMENT, [b"n:" + keys[2]], [1], heard.append)
            await asyncio.gather(*map(redis.get, keys))
            assert sorted(map(str, heard)) == sorted(map(str, [keys[0], keys[1], 3]))
            with pytest.raises(RedisCommandError, match="CROSSSLOT"):
                await redis.execute("MGET", *keys)
            assert redis.statistics().in_flight == 0
            assert redis.server_time() == pytest.approx(time.time(), abs=0.1)
        with pytest.raises(RedisUnavailableError, match="it was closed"):
            redis.get(b"key")

    run(main())


def test_a_message_from_any_node_is_heard(nodes):
    async def main() -> None:
        async with Redis.cluster(nodes[0].url, **PATIENT) as redis:
            arrived = asyncio.Event()
            heard: list[bytes] = []

            def listen(message: bytes) -> None:
                heard.append(message)
                if len(heard) == 3:
                    arrived.set()

            leave = redis.subscribe("news", listen)
            await asyncio.gather(*(redis.execute("PUBLISH", "news", "warm") for _ in range(1)))
            publish = Script("return redis.call('PUBLISH', 'news', KEYS[1])")
            await asyncio.gather(*(redis.run(publish, [key_of(number)]) for number in (0, 1)))
            async with asyncio.timeout(2):
                await arrived.wait()
            leave()

    run(main())


def test_a_slot_that_moves_is_followed(nodes):
    async def main() -> None:
        key = key_of(0)
        slot = key_slot(key)
        async with (
            Redis.cluster(nodes[0].url, **PATIENT) as redis,
            Redis(nodes[0].url, **PATIENT) as source,
            Redis(nodes[1].url, **PATIENT) as target,
            Redis(nodes[2].url, **PATIENT) as third,
        ):
            ups = Ups(redis)
            await redis.execute("SET", key, "value")
            from_id, to_id = await asyncio.gather(source.execute("CLUSTER", "MYID"), target.execute("CLUSTER", "MYID"))
            await target.execute("CLUSTER", "SETSLOT", slot, "IMPORTING", from_id)
            await source.execute("CLUSTER", "SETSLOT", slot, "MIGRATING", to_id)
            # There still, then here already: ASK.
            assert await redis.get(key) == b"value"
            await source.execute("MIGRATE", "127.0.0.1", nodes[1].port, key, 0, 1000)
            assert await redis.get(key) == b"value"
            assert await redis.run(INCREMENT, [b"{" + key + b"}n"], [1]) == 1
            for node in (target, source, third):
                await node.execute("CLUSTER", "SETSLOT", slot, "NODE", to_id)
            # Gone for good: MOVED.
            async with asyncio.TaskGroup() as group:
                found = [group.create_task(get(redis, key)) for _ in range(100)]
            assert {each.result() for each in found} == {b"value"}
            assert await redis.run(INCREMENT, [b"{" + key + b"}n"], [1]) == 2
            assert (ups.errors, redis.generation) == ([], 0)

    async def get(redis: Redis, key: bytes) -> bytes | None:
        return await redis.get(key)

    run(main())


def test_without_a_primary_its_keys_fail_at_once_until_the_replica_takes_over(make_valkey):
    nodes = cluster_of(make_valkey, replica=True)

    async def main() -> None:
        redis = Redis.cluster(nodes[1].url, **PATIENT)
        ups = Ups(redis)
        dead, alive = key_of(0), key_of(1)
        heard: list[bytes] = []
        redis.subscribe("news", heard.append)
        async with redis, Redis(nodes[3].url, name="replica", **PATIENT) as replica:
            await asyncio.gather(redis.execute("SET", dead, "value"), redis.execute("SET", alive, "value"))

            async def copied() -> bool:
                return bool(await replica.execute("DBSIZE") == 1)

            await until(copied)
            nodes[0].kill()
            await ups.lost()
            began = time.perf_counter()
            with pytest.raises(RedisUnavailableError, match=str(nodes[0].port)):
                redis.get(dead)
            assert time.perf_counter() - began < 0.01
            assert (await redis.check()).status is Status.DEGRADED
            assert await redis.get(alive) == b"value"

            async def takes_over() -> bool:
                try:
                    return bool(await replica.execute("CLUSTER", "FAILOVER", "TAKEOVER"))
                except RedisError:
                    return False

            await until(takes_over)
            await ups.connected()
            assert await redis.get(dead) == b"value"
            assert (ups.ups, len(ups.errors), redis.generation) == (2, 1, 1)
            await redis.execute("PUBLISH", "news", "back")

            async def is_heard() -> bool:
                return heard == [b"back"]

            await until(is_heard)

    run(main())


def test_no_cluster_is_like_no_server(valkey):
    """One that isn't a cluster says so; one that is away, nothing."""

    async def main() -> None:
        async with Redis.cluster(valkey.url, **PATIENT) as redis:
            assert not redis.connected
            assert "cluster support disabled" in (await redis.check()).message
        valkey.kill()
        async with Redis.cluster(valkey.url, **PATIENT) as redis:
            with pytest.raises(RedisUnavailableError, match="no node of the cluster"):
                redis.get(b"key")
            with pytest.raises(RedisUnavailableError):
                redis.execute("PING")

    run(main())
