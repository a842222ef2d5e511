"""What a hostile reader found: half transactions, locks that wander, servers that pose as the primary, and the like."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from seawall.core import deadline
from seawall.database import (
    CommitUnknownError,
    Database,
    DatabaseError,
    DatabaseUnavailableError,
    QueryTimeoutError,
    Route,
)
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'"
NAMED: dict[str, Any] = {"connect_args": {"server_settings": {"application_name": "victim"}}}


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(),))


def play(own: Cluster, scene: Any, **options: Any) -> None:
    async def main() -> None:
        replicas = [replica.url for replica in own.replicas]
        async with Database(own.primary.url, replicas=replicas, **options) as database:
            await database.fetch("DROP TABLE IF EXISTS t")
            await database.fetch("CREATE TABLE t (id int PRIMARY KEY, n int)")
            await database.fetch("INSERT INTO t VALUES (1, 0)")
            await database._load_catalogue()
            await asyncio.sleep(0.3)
            async with asyncio.timeout(30):
                await scene(database)

    asyncio.run(main())


async def kill(own: Cluster) -> None:
    """End every connection of a pool but the probes'."""
    await asyncio.to_thread(own.primary.psql, KILL)


async def ids(database: Database) -> list[int]:
    return [row["id"] for row in await database.fetch("SELECT id FROM t ORDER BY id", use_read_replica=False)]


def test_after_a_lost_connection_the_rest_of_a_transaction_is_no_transaction_of_its_own(own):
    async def scene(database: Database) -> None:
        async with database.session() as session:
            await session.execute(text("INSERT INTO t VALUES (2, 0)"))
            await kill(own)
            with pytest.raises(DatabaseUnavailableError, match="its transaction is undone"):
                await session.execute(text("INSERT INTO t VALUES (3, 0)"))
            with pytest.raises(DatabaseUnavailableError):
                await session.execute(text("INSERT INTO t VALUES (4, 0)"))
            with pytest.raises(DatabaseUnavailableError):
                await session.commit()
            await session.rollback()
            await session.execute(text("INSERT INTO t VALUES (5, 0)"))
            await session.commit()
        assert await ids(database) == [1, 5]

    play(own, scene, **NAMED)


def test_the_commit_of_a_transaction_that_had_failed_says_so(own):
    async def scene(database: Database) -> None:
        @database.transaction()
        async def add(session: AsyncSession) -> str:
            try:
                await session.execute(text("INSERT INTO t VALUES (1, 1)"))
            except IntegrityError:
                return "done"
            return "never"

        with pytest.raises(Exception, match="COMMIT undid it"):
            await add()

    play(own, scene)


def test_an_unknown_commit_is_not_repeated_and_read_from_the_primary_afterwards(own):
    async def scene(database: Database) -> None:
        runs = 0

        @database.transaction()
        async def add(session: AsyncSession) -> None:
            nonlocal runs
            runs += 1
            await session.execute(text("INSERT INTO t VALUES (:id, 0)"), {"id": 100 + runs})
            raise CommitUnknownError("database", "somewhere")

        with pytest.raises(CommitUnknownError):
            await add()
        assert runs == 1
        with database.calling() as caller:
            slow = asyncio.create_task(database.fetch("UPDATE t SET n = n + 1 FROM pg_sleep(0.5) WHERE id = 1"))
            await asyncio.sleep(0.2)
            await kill(own)
            with pytest.raises(CommitUnknownError):
                await slow
            assert caller.strict
            assert database.written() == "?", "whoever loads anew what this voids must ask the primary"

    play(own, scene, **NAMED)


def test_savepoints_after_a_read_from_a_replica(own):
    async def scene(database: Database) -> None:
        with database.calling():
            async with database.session() as session:
                await session.execute(text("SELECT n FROM t"))
                with pytest.raises(IntegrityError):
                    async with session.begin_nested():
                        await session.execute(text("INSERT INTO t VALUES (1, 0)"))
                async with session.begin_nested():
                    await session.execute(text("INSERT INTO t VALUES (6, 0)"))
                await session.commit()
        assert await ids(database) == [1, 6]

    play(own, scene)


def test_a_read_only_transaction_demotes_nobody(own):
    async def scene(database: Database) -> None:
        assert database.cluster is not None
        primary = database.cluster.primary
        async with database.connection() as connection:
            await connection.execution_options(postgresql_readonly=True)
            with pytest.raises(Exception, match="read-only transaction"):
                await connection.execute(text("UPDATE t SET n = 1"))
        assert database.cluster.primary is primary
        await database.fetch("UPDATE t SET n = 2")

    play(own, scene)


def test_locks_of_a_statement_that_failed_or_was_left_are_nobodys(own):
    async def scene(database: Database) -> None:
        with pytest.raises(Exception, match="division by zero"):
            await database.fetch("SELECT pg_advisory_lock(42), 1 / (SELECT n FROM t)")
        left = asyncio.create_task(database.fetch("SELECT pg_advisory_lock(43), pg_sleep(5)"))
        await asyncio.sleep(0.3)
        left.cancel()
        await asyncio.wait([left])
        locks: Any = None
        async with asyncio.timeout(5):
            while locks != []:
                locks = list(
                    await database.fetch("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'", use_read_replica=False)
                )
                await asyncio.sleep(0.02)

    play(own, scene)


def test_rows_that_are_streamed_end_with_their_transaction(own):
    async def scene(database: Database) -> None:
        async with database.session() as one, database.session() as other:
            rows = await one.stream(text("SELECT g FROM generate_series(1, 5000) AS g"))
            assert (await rows.fetchone()) == (1,)
            await one.commit()
            await other.execute(text("SELECT n FROM t"))
            with pytest.raises(DatabaseError, match="transaction that is over"):
                [row async for row in rows]
            await other.execute(text("SELECT n FROM t"))

    play(own, scene)


def test_two_databases_in_one_process_keep_their_callers_apart(own):
    async def scene(database: Database) -> None:
        async with Database(own.primary.url, replicas=[own.replicas[0].url]) as other:
            with database.calling():
                await database.fetch("UPDATE t SET n = n + 1")
                assert await other.fetch("SELECT 1 AS one")
                with other.calling():
                    assert other.position is None
                    assert database.position is not None

    play(own, scene)


def test_the_deadline_bounds_a_single_statement_and_the_wait_for_a_connection(own):
    async def scene(database: Database) -> None:
        with deadline.within(0.2), pytest.raises(QueryTimeoutError):
            await database.fetch("SELECT pg_sleep(20)")
        async with database.session(Route.PRIMARY) as session:
            await session.execute(text("SELECT 1"))
            with deadline.within(0.2), pytest.raises(QueryTimeoutError):
                await database.fetch("SELECT 1", use_read_replica=False)

    play(own, scene, pool_size=1, max_overflow=0)


def test_a_database_is_entered_once_and_before_it_is_used(own):
    async def main() -> None:
        database = Database(own.primary.url)
        with pytest.raises(RuntimeError, match="isn't entered"):
            await database.fetch("SELECT 1")
        async with database:
            with pytest.raises(RuntimeError, match="is entered already"):
                await database.__aenter__()

    asyncio.run(main())


def test_of_two_primaries_the_one_that_was_promoted_last_is_written_to():
    async def main(old: Postgres, new: Postgres) -> None:
        async with Database(old.url, replicas=[new.url], **NAMED) as database:
            await database.fetch("CREATE TABLE t (n int)")
            await asyncio.sleep(0.2)
            await asyncio.to_thread(new.promote)
            assert database.cluster is not None
            async with asyncio.timeout(5):
                while database.cluster.primary is not database.cluster.nodes[1]:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(new.psql, KILL)  # which makes the new one suspect for a moment
            for number in range(20):
                with suppress(DatabaseUnavailableError, CommitUnknownError):
                    await database.fetch("INSERT INTO t VALUES (:n)", {"n": number})
                await asyncio.sleep(0.02)
            assert database.cluster.primary is database.cluster.nodes[1]
        assert "(0 rows)" in old.psql("SELECT * FROM t") or not old.psql("SELECT * FROM t").strip()

    with Postgres() as old:
        asyncio.run(main(old, old.replica()))
