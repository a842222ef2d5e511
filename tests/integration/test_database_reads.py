"""What gets in the way of a read: a table that has other columns now, a server that goes while rows are streamed."""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from seawall.core import Events
from seawall.database import Database, DatabaseUnavailableError, Route, StatementRerun
from seawall.testing import EventRecorder
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

POOL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'"
NAMED: dict[str, Any] = {"connect_args": {"server_settings": {"application_name": "victim"}}}
ROWS = text("SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) AS g")


@pytest.fixture
def own() -> Iterator[Cluster]:
    with Postgres() as primary:
        primary.psql("CREATE TABLE t AS SELECT 1 AS n")
        yield Cluster(primary, (primary.replica(),))


def play(own: Cluster, scene: Any, **options: Any) -> None:
    async def main() -> None:
        events = Events()
        recorder = EventRecorder(events)
        async with Database(own.primary.url, replicas=[own.replicas[0].url], events=events, **options) as database:
            await asyncio.sleep(0.3)
            async with asyncio.timeout(30):
                await scene(database, recorder)

    asyncio.run(main())


async def alter(own: Cluster, column: str) -> None:
    """In another connection, whose change nobody here is told of."""
    await asyncio.to_thread(own.primary.psql, f"ALTER TABLE t ADD COLUMN {column} int")
    await asyncio.sleep(0.2)


def test_a_read_whose_table_has_other_columns_now_is_run_again(own):
    async def scene(database: Database, recorder: EventRecorder) -> None:
        async def columns(route: Route) -> list[str]:
            with database.calling():
                async with database.session(route) as session:
                    return list((await session.execute(text("SELECT * FROM t"))).keys())

        async def fetched(replica: bool) -> list[str]:
            with database.calling():
                [row] = await database.fetch("SELECT * FROM t", use_read_replica=replica)
                return list(row.keys())

        routes = (Route.AUTO, Route.PRIMARY, Route.REPLICA)
        for read in (*(partial(columns, route) for route in routes), partial(fetched, True), partial(fetched, False)):
            known = await read()
            await alter(own, f"m{len(known)}")
            assert await read() == [*known, f"m{len(known)}"]
        assert recorder.of(StatementRerun)
        assert {rerun.sqlstate for rerun in recorder.of(StatementRerun)} == {"0A000"}

    play(own, scene)


def test_all_connections_learn_of_it_at_once(own):
    async def scene(database: Database, recorder: EventRecorder) -> None:
        async def read() -> None:
            await database.fetch("SELECT t.*, pg_sleep(0.1) FROM t", use_read_replica=False)

        await asyncio.gather(*(read() for _ in range(5)))
        await alter(own, "m")
        await read()
        await asyncio.gather(*(read() for _ in range(5)))
        assert len(recorder.of(StatementRerun)) == 1

    play(own, scene)


def test_in_a_transaction_that_has_written_it_is_an_error_once(own):
    async def scene(database: Database, _: EventRecorder) -> None:
        async def work() -> None:
            async with database.session() as session:
                await session.execute(text("UPDATE t SET n = n + 1"))
                await session.execute(text("SELECT * FROM t"))
                await session.commit()

        await work()
        await alter(own, "m")
        with pytest.raises(DBAPIError, match="cached statement plan is invalid"):
            await work()
        await work()
        [row] = await database.fetch("SELECT n FROM t", use_read_replica=False)
        assert row["n"] == 3

    play(own, scene)


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_rows_that_end_too_early_are_an_error_of_ours(own, how):
    async def scene(database: Database, _: EventRecorder) -> None:
        assert database.cluster is not None
        replica = own.replicas[0]
        with database.calling():
            async with database.session() as session:
                rows = await session.stream(ROWS)
                assert await rows.fetchone() is not None
                await asyncio.to_thread(partial(replica.psql, POOL) if how == "terminate" else replica.kill)
                with pytest.raises(DatabaseUnavailableError, match="before all rows had come") as caught:
                    [row async for row in rows]
                assert caught.value.__cause__ is not None
                with pytest.raises(DatabaseUnavailableError):
                    await session.execute(text("SELECT 1"))
                await session.rollback()
                assert await session.scalar(text("SELECT 2")) == 2
            assert not any(node.in_use for node in database.cluster.nodes)

    play(own, scene, **NAMED)


def test_other_errors_among_the_rows_stay_what_they_are(own):
    async def scene(database: Database, _: EventRecorder) -> None:
        async with database.session() as session:
            rows = await session.stream(text("SELECT 1 / (1000 - g) FROM generate_series(1, 20000) AS g"))
            with pytest.raises(Exception, match="division by zero"):
                [row async for row in rows]
            await session.rollback()
            rows = await session.stream(ROWS)
            assert len([row async for row in rows]) == 20_000

    play(own, scene)
