"""Leaving the database: what is under way gets its time, nothing new begins, and nothing is left behind."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text

from seawall.database import Database, DatabaseClosedError, DatabaseError, Route
from seawall.testing.postgres import Postgres

OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('ours', 'seawall-probe')"
NAMED: dict[str, Any] = {"server_settings": {"application_name": "ours"}}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as primary:
        primary.psql("CREATE TABLE t (n int)")
        yield primary


async def gone(server: Postgres) -> None:
    async with asyncio.timeout(5):
        while await asyncio.to_thread(server.psql, OURS) != "0":
            await asyncio.sleep(0.02)


def count(server: Postgres) -> int:
    return int(server.psql("SELECT count(*) FROM t"))


async def leave(database: Database) -> float:
    began = time.monotonic()
    await database.__aexit__(None, None, None)
    return time.monotonic() - began


def test_a_transaction_under_way_ends_and_no_other_begins(server):
    before = count(server)

    async def main() -> None:
        database = Database(server.url, drain_timeout=10.0, connect_args=NAMED)
        await database.__aenter__()
        begun, refused = asyncio.Event(), []

        async def work() -> None:
            async with database.session() as session:
                await session.execute(text("INSERT INTO t VALUES (1)"))
                begun.set()
                await asyncio.sleep(0.3)
                with pytest.raises(DatabaseClosedError, match="begins nothing new") as caught:
                    await database.fetch("SELECT 1")
                refused.append(caught.value)
                await session.execute(text("INSERT INTO t VALUES (2)"))
                await session.commit()
                with pytest.raises(DatabaseClosedError):
                    await session.execute(text("INSERT INTO t VALUES (3)"))

        working = asyncio.create_task(work())
        await begun.wait()
        assert 0.2 < await leave(database) < 2.0
        await working
        [error] = refused
        assert (error.status, error.retry_after) == (503, 1.0)
        with pytest.raises(DatabaseClosedError):
            await database.fetch("SELECT 1")
        await gone(server)

    asyncio.run(main())
    assert count(server) == before + 2


def test_what_is_still_running_at_the_end_is_cut_off_also_at_the_server(server):
    before = count(server)

    async def main() -> None:
        database = Database(server.url, drain_timeout=0.3, connect_args=NAMED)
        await database.__aenter__()

        async def runs(route: Route) -> None:
            async with database.session(route) as session:
                await session.execute(text("SELECT pg_sleep(30)"))

        async def idles() -> None:
            async with database.session() as session:
                await session.execute(text("INSERT INTO t VALUES (1)"))
                await asyncio.sleep(1.0)
                await session.commit()

        tasks = [asyncio.create_task(work) for work in (runs(Route.AUTO), runs(Route.PRIMARY), idles())]
        await asyncio.sleep(0.5)
        assert 0.3 <= await leave(database) < 3.0
        assert database.cluster is not None
        await gone(server)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(error, DatabaseError) for error in found), found
        assert not any(node.in_use for node in database.cluster.nodes)

    asyncio.run(main())
    assert count(server) == before


def test_who_leaves_in_haste_leaves_nothing_behind(server):
    async def main() -> None:
        database = Database(server.url, drain_timeout=30.0, connect_args=NAMED)
        await database.__aenter__()

        async def work() -> None:
            async with database.session() as session:
                await session.execute(text("SELECT pg_sleep(1)"))

        working = asyncio.create_task(work())
        await asyncio.sleep(0.3)
        leaving = asyncio.create_task(leave(database))
        await asyncio.sleep(0.2)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        await asyncio.wait([working])
        await gone(server)

    asyncio.run(main())


def test_it_can_be_entered_again(server):
    async def main() -> None:
        database = Database(server.url, connect_args=NAMED)
        for _ in range(2):
            async with database:
                assert await database.fetch("SELECT 1")
        await gone(server)

    asyncio.run(main())
