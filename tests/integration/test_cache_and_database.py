"""A cache and replicas that know of each other: what is voided is loaded anew from what was written, in any process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from seawall.cache import Cache, MemoryTier, RedisTier
from seawall.database import Database
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

LAG = 0.4


@pytest.fixture(scope="module")
def lagging() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(delay=LAG),))


class Process:
    """What one process of a service has: a cache, a database, and a function that is cached."""

    def __init__(self, cluster: Cluster, redis_url: str, *, aware: bool) -> None:
        self.database = Database(cluster.primary.url, replicas=[cluster.replicas[0].url])
        tier = RedisTier(redis_url, namespace=f"aware-{aware}", timeout=2.0)
        self.cache = Cache(MemoryTier(), tier, consistency=self.database if aware else None)

    async def write(self) -> int:
        with self.database.calling():
            [row] = await self.database.fetch("UPDATE prices SET cents = cents + 1 RETURNING cents")
            await self.cache.invalidate("prices")
        return int(row["cents"])

    async def read(self) -> int:
        async def load() -> int:
            [row] = await self.database.fetch("SELECT cents FROM prices")
            return int(row["cents"])

        with self.database.calling():
            value: int = await self.cache.get_or_set("prices:all", load, tags=["prices"])
        return value

    def offloaded(self) -> int:
        assert self.database.cluster is not None
        assert self.database.cluster.primary is not None
        primary = self.database.cluster.primary.name
        reads = [query for query in self.database.statistics.queries() if query.statement.startswith("SELECT cents")]
        return sum(query.count - query.nodes.get(primary, 0) for query in reads)


@asynccontextmanager
async def two(cluster: Cluster, redis_url: str, *, aware: bool) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        found = [Process(cluster, redis_url, aware=aware) for _ in range(2)]
        for process in found:
            await stack.enter_async_context(process.database)
            await stack.enter_async_context(process.cache)
        await found[0].database.fetch("CREATE TABLE IF NOT EXISTS prices AS SELECT 100 AS cents")
        await asyncio.sleep(LAG + 0.3)
        for process in found:
            await process.database._load_catalogue()
        yield found


def test_a_loader_reads_what_was_written_before_the_entry_was_voided(lagging, redis_url):
    async def main() -> None:
        async with two(lagging, redis_url, aware=True) as (one, other):
            for _ in range(5):
                await other.read()
                written = await one.write()
                assert await other.read() == written
                assert await one.read() == written
                await asyncio.sleep(LAG / 2)
            # Once the replica has it, loads are its again.
            await asyncio.sleep(LAG + 0.3)
            before = other.offloaded()
            await other.cache.delete("prices:all")
            await other.read()
            assert other.offloaded() == before + 1

    asyncio.run(main())


def test_without_that_a_replica_brings_back_what_was_voided(lagging, redis_url):
    """The test above can fail."""

    async def main() -> None:
        async with two(lagging, redis_url, aware=False) as (one, other):
            await other.read()
            written = await one.write()
            assert await other.read() < written

    asyncio.run(main())
