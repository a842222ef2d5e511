"""A replica that returns gets its share of the reads at once, and a former primary keeps no connection."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from seawall.database import CommitUnknownError, Database, DatabaseError, DatabaseUnavailableError
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

NAMED: dict[str, Any] = {"connect_args": {"server_settings": {"application_name": "ours"}}}
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours'"


@pytest.fixture
def own() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(), primary.replica()))


def name(server: Postgres) -> str:
    return f"127.0.0.1:{server.port}"


class Readers:
    """A service's reads: 20 at a time, each a request of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.errors: list[BaseException] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Readers":
        self._tasks = [asyncio.create_task(self._read()) for _ in range(20)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _read(self) -> None:
        while True:
            try:
                with self.database.calling():
                    await self.database.fetch("SELECT 1 AS share")
            except DatabaseError as error:
                self.errors.append(error)
            await asyncio.sleep(0.01)

    async def shares(self, seconds: float) -> dict[str, float]:
        """Which server gets how much of the reads of so many seconds."""
        self.database.statistics.reset()
        await asyncio.sleep(seconds)
        [query] = [query for query in self.database.statistics.queries() if "share" in query.statement]
        return {node: count / query.count for node, count in query.nodes.items()}


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_replica_that_returns_has_its_share_within_a_second(own, how):
    async def main() -> None:
        gone, stays = own.replicas
        urls = [replica.url for replica in own.replicas]
        async with Database(own.primary.url, replicas=urls) as database, Readers(database) as readers:
            await asyncio.sleep(0.5)
            before = await readers.shares(0.5)
            assert before[name(gone)] == pytest.approx(0.5, abs=0.1)
            await asyncio.to_thread(getattr(gone, how))
            await asyncio.sleep(1.0)
            assert set(await readers.shares(0.5)) == {name(stays)}
            await asyncio.to_thread(gone.start if how == "kill" else gone.resume)
            await asyncio.sleep(0.7)
            after = await readers.shares(0.3)
            assert after[name(gone)] == pytest.approx(0.5, abs=0.1)
            assert not readers.errors

    asyncio.run(main())


def test_a_former_primary_that_never_ended_keeps_no_connection(own):
    async def main() -> None:
        old, new = own.primary, own.replicas[0]
        async with Database(old.url, replicas=[new.url], **NAMED) as database:
            await database.fetch("CREATE TABLE t (n int)")
            await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.1)", use_read_replica=False) for _ in range(8)))
            session = database.session()
            await session.execute(text("INSERT INTO t VALUES (1)"))
            assert int(await asyncio.to_thread(old.psql, OURS)) >= 8
            await asyncio.to_thread(new.promote)
            async with asyncio.timeout(5):
                while await asyncio.to_thread(old.psql, OURS) != "0":
                    await asyncio.sleep(0.02)
            with pytest.raises((DatabaseUnavailableError, CommitUnknownError)):
                await session.commit()
            await session.close()
            await database.fetch("INSERT INTO t VALUES (2)")
            assert await asyncio.to_thread(old.psql, OURS) == "0"
        assert new.psql("SELECT n FROM t") == "2"

    asyncio.run(main())


def test_connections_that_were_in_use_as_their_pool_was_renewed_are_closed(own):
    async def main() -> None:
        async with Database(own.primary.url, **NAMED) as database:
            assert database.cluster is not None
            [node] = database.cluster.nodes
            async with database.session() as session:
                await session.execute(text("SELECT 1 FROM pg_sleep(0)"))
                node.renew()
                await session.execute(text("SELECT 2 FROM pg_sleep(0)"))
                await session.commit()
            async with asyncio.timeout(5):
                while await asyncio.to_thread(own.primary.psql, OURS) != "0":
                    await asyncio.sleep(0.02)

    asyncio.run(main())


def test_new_primary_is_reached_by_as_many_as_before(own):
    """The pool of a new primary fills as it is used: nobody waits for connections that the old one holds."""

    async def main() -> None:
        old, new = own.primary, own.replicas[0]
        async with Database(old.url, replicas=[new.url], pool_size=5, max_overflow=0, pool_timeout=2.0) as database:
            await database.fetch("CREATE TABLE t (n int)")

            errors: list[BaseException] = []

            async def write() -> None:
                try:
                    await database.fetch("INSERT INTO t VALUES (1)")
                except (DatabaseUnavailableError, CommitUnknownError) as error:
                    errors.append(error)

            await asyncio.gather(*(write() for _ in range(50)))
            old.kill()
            await asyncio.to_thread(new.promote)
            began = time.monotonic()
            await asyncio.gather(*(write() for _ in range(50)))
            assert time.monotonic() - began < 2.0
            [row] = await database.fetch("SELECT count(*) FROM t")
            assert row["count"] >= 100 - len(errors)
            assert len(errors) <= 5, "no more than were connected"

    asyncio.run(main())
