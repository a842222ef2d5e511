"""Callers read what they wrote and never go back in time, on real streaming replication with every lag."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from seawall.database import Database, Route
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

USERS = 12
KEY = "the same in every process"


@dataclass
class Seen:
    """What the callers of a run saw."""

    reads: int = 0
    stale: int = 0
    backwards: int = 0
    offloaded: int = 0


@asynccontextmanager
async def database_of(primary: Postgres, *replicas: Postgres, table: str) -> AsyncIterator[Database]:
    async with Database(primary.url, replicas=[replica.url for replica in replicas], key=KEY) as database:
        await database.fetch(f"DROP TABLE IF EXISTS {table}")
        await database.fetch(f"CREATE TABLE {table} (id int PRIMARY KEY, n int NOT NULL)")
        await database.fetch(f"INSERT INTO {table} SELECT id, 0 FROM generate_series(0, {USERS}) AS id")
        yield database


async def use(processes: list[Database], table: str, seen: Seen, user: int, until: float, think: float) -> None:
    """Write a number, then read it, and one that others write, a few times; each request goes to any process."""
    token: str | None = None
    own, others = 0, 0
    while time.monotonic() < until:
        database = random.choice(processes)
        with database.admitting(token) as caller:
            own += 1
            await database.fetch(f"UPDATE {table} SET n = :n WHERE id = :id", {"n": own, "id": user})
            token = caller.token()
        for _ in range(4):
            await asyncio.sleep(think)
            database = random.choice(processes)
            with database.admitting(token) as caller:
                rows = await database.fetch(
                    f"SELECT id, n FROM {table} WHERE id IN (:id, :other)", {"id": user, "other": USERS}
                )
                found = {row["id"]: row["n"] for row in rows}
                seen.reads += 1
                seen.stale += found[user] < own
                seen.backwards += found[USERS] < others
                others = max(others, found[USERS])
                token = caller.token()


async def count_up(database: Database, table: str, until: float) -> None:
    with database.calling():
        while time.monotonic() < until:
            await database.fetch(f"UPDATE {table} SET n = n + 1 WHERE id = {USERS}")
            await asyncio.sleep(0.005)


async def run(database: Database, cluster: Cluster, table: str, seconds: float, think: float) -> Seen:
    """Two processes, which know nothing of each other but what callers bring; in one, reads wait for replicas."""
    replicas = [replica.url for replica in cluster.replicas]
    async with Database(cluster.primary.url, replicas=replicas, key=KEY, wait_for_replica=0.03) as other:
        await asyncio.sleep(0.5)  # until the table is known
        processes, seen, until = [database, other], Seen(), time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(count_up(database, table, until))
            for user in range(USERS):
                group.create_task(use(processes, table, seen, user, until, think))
        for process in processes:
            for query in process.statistics.queries():
                if query.statement.startswith("SELECT id, n"):
                    seen.offloaded += query.count - query.nodes.get(f"127.0.0.1:{cluster.primary.port}", 0)
    print(f"{table}: {seen}")  # noqa: T201 - the figures
    return seen


@pytest.fixture(scope="module")
def lagging() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(delay=0.0), primary.replica(delay=0.2)))


@pytest.mark.parametrize("delays", [(0.0, 0.02), (0.0, 0.2), (0.02, 3.0)])
def test_nobody_reads_the_past(lagging, delays):
    table = f"lag_{'_'.join(str(int(delay * 1000)) for delay in delays)}"
    for replica, delay in zip(lagging.replicas, delays, strict=True):
        replica.set_delay(delay)

    async def main() -> None:
        async with database_of(lagging.primary, *lagging.replicas, table=table) as database:
            await asyncio.sleep(max(delays) + 0.2)
            seen = await run(database, lagging, table, 3.0, 0.02)
        assert (seen.stale, seen.backwards) == (0, 0)
        assert seen.reads > 100
        assert seen.offloaded > 0

    asyncio.run(main())


def test_at_20_ms_of_lag_a_caller_who_thinks_for_100_ms_is_served_by_replicas(lagging):
    for replica in lagging.replicas:
        replica.set_delay(0.02)

    async def main() -> None:
        async with database_of(lagging.primary, *lagging.replicas, table="thinking") as database:
            seen = await run(database, lagging, "thinking", 3.0, 0.1)
        assert (seen.stale, seen.backwards) == (0, 0)
        assert seen.offloaded >= 0.9 * seen.reads, seen

    asyncio.run(main())


@pytest.mark.torture
def test_nobody_reads_the_past_in_100_000_reads(lagging):
    async def main() -> None:
        total = Seen()
        for first, second in [(0.0, 0.02), (0.02, 0.2), (0.0, 3.0), (0.2, 3.0)]:
            for replica, delay in zip(lagging.replicas, (first, second), strict=True):
                replica.set_delay(delay)
            await asyncio.sleep(max(first, second) + 0.2)
            table = f"torture_{first * 1000:.0f}_{second * 1000:.0f}"
            reads = total.reads + 25_000
            async with database_of(lagging.primary, *lagging.replicas, table=table) as database:
                while total.reads < reads:
                    seen = await run(database, lagging, table, 20.0, 0.005)
                    total.reads += seen.reads
                    total.offloaded += seen.offloaded
                    assert (seen.stale, seen.backwards) == (0, 0)
        assert total.reads >= 100_000
        print(f"all: {total}")  # noqa: T201

    asyncio.run(main())


def test_a_position_taken_before_the_commit_would_be_too_early(lagging):
    """Why it is taken after: the commit record lies behind it, and a replica may stand just between the two."""
    replica = lagging.replicas[0]
    replica.set_delay(0.3)

    async def main() -> None:
        async with database_of(lagging.primary, replica, table="early") as database:
            await asyncio.sleep(0.5)
            async with database.session() as session:
                connection = await session.connection()
                await connection.exec_driver_sql("UPDATE early SET n = 1 WHERE id = 1")
                [[too_early]] = await connection.exec_driver_sql("SELECT pg_current_wal_insert_lsn()::text")
                await session.commit()
            position = database.position
            assert position is not None
            # The replica applies the row at once, and delays the commit.
            reached = f"SELECT n, pg_last_wal_replay_lsn() >= '{too_early}'::pg_lsn AS enough FROM early WHERE id = 1"
            async with asyncio.timeout(5), database.connection(Route.REPLICA) as connection:
                while True:
                    [row] = (await connection.exec_driver_sql(reached)).mappings().all()
                    await connection.rollback()
                    if row["enough"]:
                        break
            assert row["n"] == 0, "the replica has the early position, and not the change"
            assert (await database.fetch("SELECT n FROM early WHERE id = 1"))[0]["n"] == 1

    asyncio.run(main())
