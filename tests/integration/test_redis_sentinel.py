"""A failover by real sentinels: the client follows the primary."""

import asyncio
from collections.abc import Callable

import pytest

from seawall.core import OptionError
from seawall.redis import Redis, RedisCommandError, RedisError
from seawall.testing.valkey import Valkey
from tests.integration.redis_waiting import PATIENT, Ups, run


def sentinel_of(make_valkey: Callable[..., Valkey], primary: Valkey) -> Valkey:
    return make_valkey(
        arguments=["--sentinel"],
        config={
            "sentinel": [
                f"monitor main 127.0.0.1 {primary.port} 1",
                "down-after-milliseconds main 200",
                "failover-timeout main 1000",
            ]
        },
    )


def test_the_client_follows_a_failover(make_valkey):
    primary = make_valkey(config={"repl-diskless-sync-delay": 0})
    replica = make_valkey(config={"replicaof": f"127.0.0.1 {primary.port}"})
    sentinel = sentinel_of(make_valkey, primary)
    dead = Valkey()

    async def main() -> None:
        # The second sentinel does not exist.
        redis = Redis.sentinel([f"127.0.0.1:{sentinel.port}", f"127.0.0.1:{dead.port}"], "main", **PATIENT)
        ups = Ups(redis)
        async with redis, Redis(sentinel.url, name="sentinel", **PATIENT) as asked:
            assert redis.address == primary.url[8:-2]
            await redis.execute("SET", "key", "value")
            async with asyncio.timeout(5):
                while b"slave0" not in await redis.execute("INFO", "replication"):
                    await asyncio.sleep(0.02)
                while not await sentinel_knows_replicas(asked):
                    await asyncio.sleep(0.05)
            await asked.execute("SENTINEL", "FAILOVER", "main")
            async with asyncio.timeout(8):
                while not redis.connected or redis.address != replica.url[8:-2]:
                    await asyncio.sleep(0.02)
                    await ups.connected()
            assert await redis.get(b"key") == b"value"
            await redis.execute("SET", "key", "written")

    async def sentinel_knows_replicas(asked: Redis) -> bool:
        try:
            found = await asked.execute("SENTINEL", "REPLICAS", "main")
        except RedisError:
            return False
        return any(each.get(b"master-link-status") == b"ok" for each in found)

    run(main())


def test_a_primary_that_became_a_replica_is_left(make_valkey):
    primary, other = make_valkey(), make_valkey()
    sentinel = sentinel_of(make_valkey, primary)

    async def main() -> None:
        redis = Redis.sentinel([f"127.0.0.1:{sentinel.port}"], "main", **PATIENT)
        ups = Ups(redis)
        async with redis:
            # Behind the sentinels' back, and without a word to its clients.
            await redis.execute("CONFIG", "SET", "min-replicas-to-write", 0)
            async with Redis(primary.url, name="operator", **PATIENT) as operator:
                await operator.execute("REPLICAOF", "127.0.0.1", other.port)
            with pytest.raises((RedisCommandError, RedisError)):
                await redis.execute("SET", "key", "value")
            await ups.lost()
            assert redis.generation == 1

    run(main())


def test_no_sentinel_is_like_no_server():
    dead = Valkey()

    async def main() -> None:
        async with Redis.sentinel([f"127.0.0.1:{dead.port}"], "main", **PATIENT) as redis:
            assert not redis.connected
            assert "No master found" in (await redis.check()).message

    run(main())


@pytest.mark.parametrize("sentinels", [[], "127.0.0.1:26379", ["127.0.0.1"], ["a:b"]])
def test_malformed_sentinels_are_refused(sentinels):
    with pytest.raises(OptionError, match="sentinels"):
        Redis.sentinel(sentinels, "main")
