"""Every shared tier keeps the contract that the cache relies on."""

import asyncio
from collections.abc import Callable

import pytest

from seawall.cache import RedisTier, Tier
from seawall.testing import FaultyTier, Latency, Store, StoreTier
from seawall.testing.tier_contract import TIER_CHECKS

PATIENT = 1.0


def store_tiers(_url: str) -> tuple[Tier, Tier]:
    store = Store()
    return StoreTier(store), StoreTier(store)


def redis_tiers(url: str, backlog: int = 0) -> tuple[Tier, Tier]:
    one, other = (RedisTier(url, timeout=PATIENT, namespace="contract", backlog=backlog) for _ in range(2))
    return one, other


def late_tiers(url: str) -> tuple[Tier, Tier]:
    one, other = redis_tiers(url)
    return FaultyTier(one, Latency(0.01)), FaultyTier(other, Latency(0.01))


TIERS: dict[str, Callable[[str], tuple[Tier, Tier]]] = {
    "store": store_tiers,
    "redis": redis_tiers,
    "redis with a backlog": lambda url: redis_tiers(url, backlog=1000),
    "redis, late": late_tiers,
}


@pytest.mark.parametrize("kind", TIERS)
@pytest.mark.parametrize("check", TIER_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(redis_url, kind, check):
    one, other = TIERS[kind](redis_url)

    async def main() -> None:
        await check(one, other)

    asyncio.run(main())
