"""Whoever looks at PostgreSQL sees for which request it works, and no request can say anything else to it."""

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from seawall import Seawall
from seawall.database import Database, Route
from seawall.settings import Settings
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

NAMED: dict[str, Any] = {"server_settings": {"application_name": "podcasts"}}
NASTY = ["'; DROP TABLE t; --", "\\'; DROP TABLE t; --", "*/ DROP TABLE t; /*", "ü\0\n$$%s:x", "x" * 500]
request: ContextVar[str | None] = ContextVar("request", default=None)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(),))


def play(own: Cluster, scene: Any, **options: Any) -> None:
    async def main() -> None:
        async with Database(own.primary.url, replicas=[own.replicas[0].url], label=request.get, **options) as database:
            await database.fetch("CREATE TABLE IF NOT EXISTS t ()")
            await asyncio.sleep(0.3)
            await database._load_catalogue()
            async with asyncio.timeout(30):
                await scene(database)

    asyncio.run(main())


def sleeping(server: Postgres) -> str:
    """What PostgreSQL calls the connection that runs `pg_sleep`."""
    return server.psql(
        "SELECT application_name FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid() "
        "AND state = 'active'"
    )


async def seen(server: Postgres, work: Any) -> str:
    task = asyncio.create_task(work)
    found = ""
    while not found and not task.done():
        found = await asyncio.to_thread(sleeping, server)
    await task
    return found


def test_transactions_and_single_statements_show_for_whom_they_are(own):
    async def scene(database: Database) -> None:
        async def in_a_session(route: Route) -> None:
            with database.calling():
                async with database.session(route) as session:
                    await session.execute(text("SELECT pg_sleep(0.5)"))

        async def single() -> None:
            with database.calling():
                await database.fetch("SELECT pg_sleep(0.5)", use_read_replica=False)

        for given, expected in [("7f3a", "podcasts 7f3a"), (None, "podcasts"), ("8e1b", "podcasts 8e1b")]:
            request.set(given)
            assert await seen(own.replicas[0], in_a_session(Route.REPLICA)) == expected
            assert await seen(own.primary, in_a_session(Route.PRIMARY)) == expected
            assert await seen(own.primary, single()) == expected

    play(own, scene, connect_args=NAMED)


def test_who_waits_within_a_transaction_shows_for_whom(own):
    async def scene(database: Database) -> None:
        request.set("holder")
        async with database.session() as session:
            await session.execute(text("LOCK TABLE t"))
            holder = "SELECT application_name FROM pg_stat_activity WHERE state = 'idle in transaction'"
            assert await asyncio.to_thread(own.primary.psql, holder) == "holder"

    play(own, scene)


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("strings", ["on", "off"])
def test_nothing_can_be_injected(own, nasty, strings):
    settings = {"standard_conforming_strings": strings, "escape_string_warning": "off"}

    async def scene(database: Database) -> None:
        request.set(nasty)
        async with database.session(Route.PRIMARY) as session:
            shown = await session.scalar(text("SHOW application_name"))
        [row] = await database.fetch("SHOW application_name", use_read_replica=False)
        assert row["application_name"] == shown
        assert len(shown) <= 63
        assert not set(shown) & set("'\\*;\"\n\0$")
        await database.fetch("SELECT FROM t")

    play(own, scene, connect_args={"server_settings": settings})


def test_statements_stay_prepared_and_are_counted_as_one(own):
    async def scene(database: Database) -> None:
        async def prepared() -> int:
            [row] = await database.fetch(
                "SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE '%only_once%'",
                use_read_replica=False,
            )
            return int(row["n"])

        with database.calling():
            for number in range(20):
                request.set(f"request {number}")
                await database.fetch("SELECT 1 AS only_once", use_read_replica=False)
                async with database.session(Route.PRIMARY) as session:
                    await session.execute(text("SELECT 1 AS only_once"))
            assert await prepared() == 1 + 1  # and the one that asks
        [query] = [query for query in database.statistics.queries() if query.statement == "SELECT $1 AS only_once"]
        assert query.count == 40

    play(own, scene, pool_size=1, max_overflow=0)


def test_the_settings_switch_it_on(own):
    settings = Settings(database_url=own.primary.url, database_show_requests=True)
    sea = Seawall(service="podcasts", settings=settings)
    database = sea.database
    app = FastAPI()
    sea.install(app)

    @app.get("/who")
    async def who() -> dict[str, str]:
        [row] = await database.fetch("SHOW application_name", use_read_replica=False)
        return {"who": row["application_name"]}

    async def main() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://x") as web,
        ):
            answer = await web.get("/who", headers={"x-request-id": "7f3a"})
            assert answer.json() == {"who": "7f3a"}

    asyncio.run(main())
