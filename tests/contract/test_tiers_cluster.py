"""The shared tier on a cluster keeps the contract, and caches on it agree."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest

from seawall.cache import Cache, MemoryTier, RedisTier
from seawall.core import OptionError
from seawall.redis import Redis
from seawall.testing import TIER_CHECKS, Valkey
from tests.integration.test_redis_cluster import cluster_of

PATIENT = 1.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with ExitStack() as running:
        yield cluster_of(lambda **options: running.enter_context(Valkey(**options)))[0].url


@pytest.mark.parametrize("check", TIER_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(cluster, check):
    async def main() -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Redis.cluster(cluster, timeout=PATIENT)) for _ in range(2)]
            one, other = (RedisTier(client, namespace="contract") for client in clients)
            await check(one, other)

    asyncio.run(main())


def test_caches_agree_over_keys_of_all_nodes(cluster):
    async def main() -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Redis.cluster(cluster, timeout=PATIENT)) for _ in range(2)]
            caches = [Cache(MemoryTier(), RedisTier(client, namespace="agree")) for client in clients]
            for cache in caches:
                await stack.enter_async_context(cache)
            a, b = caches
            keys = [f"k:{number}" for number in range(300)]
            await a.set_many(dict.fromkeys(keys, "old"), tags=["all"])
            assert await b.get_many(keys) == dict.fromkeys(keys, "old")
            await b.set_many(dict.fromkeys(keys, "new"), tags=["all"])
            await asyncio.sleep(0.1)
            assert await a.get_many(keys) == dict.fromkeys(keys, "new")
            await a.invalidate("all")
            await asyncio.sleep(0.1)
            assert await b.get_many(keys) == {}

    asyncio.run(main())


def test_a_backlog_needs_one_server(cluster):
    with pytest.raises(OptionError, match="0 with a cluster"):
        RedisTier(Redis.cluster(cluster), backlog=10)
