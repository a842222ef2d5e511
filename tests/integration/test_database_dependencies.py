"""FastAPI endpoints with sessions: committed before the response, undone by an exception, read where it is allowed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from seawall import Seawall
from seawall.database import Database, Route
from seawall.settings import Settings
from seawall.testing.postgres import Postgres
from seawall.web.consistency import NAME
from seawall.web.dependencies import in_session, reading
from tests.integration.conftest import Cluster


@pytest.fixture(scope="module")
def lagging() -> Iterator[Cluster]:
    with Postgres() as primary:
        primary.psql("CREATE TABLE notes (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        yield Cluster(primary, (primary.replica(), primary.replica(delay=0.3)))


def service(cluster: Cluster) -> tuple[FastAPI, Database]:
    replicas = tuple(replica.url for replica in cluster.replicas)
    settings = Settings(database_url=cluster.primary.url, database_replica_urls=replicas, secret_key="x" * 16)
    sea = Seawall(service="notes", settings=settings)
    database = sea.database
    app = FastAPI()
    sea.install(app)
    write = Annotated[AsyncSession, in_session(database)]
    read = Annotated[AsyncSession, reading(database)]
    at_primary = Annotated[AsyncSession, reading(database, route=Route.PRIMARY)]
    anywhere = Annotated[AsyncSession, reading(database, route=Route.REPLICA)]
    of_primary = f"127.0.0.1:{cluster.primary.port}"

    async def at_replica(session: AsyncSession) -> bool:
        await session.execute(text("SELECT max(n) FROM notes"))

        def find(sync: Any) -> bool:
            return bool(sync.connection().connection.dbapi_connection.node.name != of_primary)

        return await session.run_sync(find)

    async def insert(session: AsyncSession, n: int) -> None:
        await session.execute(text("INSERT INTO notes VALUES (:n)"), {"n": n})

    @app.post("/notes/{n}")
    async def add(n: int, session: write) -> dict[str, int]:
        await insert(session, n)
        return {"n": n}

    @app.post("/refused/{n}")
    async def refuse(n: int, session: write) -> None:
        await insert(session, n)
        raise HTTPException(409)

    @app.post("/broken/{n}")
    async def fail(n: int, session: write) -> None:
        await insert(session, n)
        raise RuntimeError

    @app.post("/misled/{n}")
    async def write_where_one_reads(n: int, session: read) -> None:
        await insert(session, n)

    @app.get("/notes/{n}")
    async def show(n: int, session: read) -> dict[str, Any]:
        found = await session.scalar(text("SELECT n FROM notes WHERE n = :n"), {"n": n})
        return {"n": found, "replica": await at_replica(session)}

    @app.get("/primary")
    async def primary(session: at_primary) -> bool:
        return await at_replica(session)

    @app.get("/replica")
    async def replica(session: anywhere) -> bool:
        return await at_replica(session)

    return app, database


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[tuple[httpx2.AsyncClient, Database]]:
    app, database = service(cluster)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://x") as web:
        await asyncio.sleep(0.6)
        await database._load_catalogue()
        yield web, database


def count(server: Postgres, n: int) -> int:
    return int(server.psql(f"SELECT count(*) FROM notes WHERE n = {n}"))


def test_each_browser_reads_what_it_wrote_and_replicas_serve(lagging):
    async def main() -> None:
        async with running(lagging) as (web, _):
            from_replicas = 0
            for n in range(100, 120):
                written = await web.post(f"/notes/{n}")
                assert written.status_code == 200
                assert NAME in written.headers
                for _ in range(3):
                    found = (await web.get(f"/notes/{n}")).json()
                    assert found["n"] == n
                    from_replicas += found["replica"]
                    await asyncio.sleep(0.05)
            assert from_replicas > 10

    asyncio.run(main())


def test_who_was_served_by_the_primary_once_comes_back_to_replicas(lagging):
    async def main() -> None:
        async with running(lagging) as (web, _):
            await web.post("/notes/50")
            assert (await web.get("/primary")).json() is False
            await asyncio.sleep(0.6)
            for _ in range(5):
                found = (await web.get("/notes/50")).json()
                assert found == {"n": 50, "replica": True}

    asyncio.run(main())


def test_it_is_committed_before_the_response(lagging):
    async def main() -> None:
        async with running(lagging) as (web, _):
            await web.post("/notes/1")
            assert await asyncio.to_thread(count, lagging.primary, 1) == 1
            # Refused by the COMMIT itself.
            twice = await web.post("/notes/1")
            assert twice.status_code == 500
            assert "set-cookie" not in twice.headers

    asyncio.run(main())


@pytest.mark.parametrize(("path", "status"), [("refused", 409), ("broken", 500), ("misled", 500)])
def test_an_exception_undoes_it_and_so_does_a_session_for_reads(lagging, path, status):
    async def main() -> None:
        async with running(lagging) as (web, database):
            answer = await web.post(f"/{path}/7")
            assert answer.status_code == status
            assert await asyncio.to_thread(count, lagging.primary, 7) == 0
            assert database.cluster is not None
            assert not any(node.in_use for node in database.cluster.nodes)

    asyncio.run(main())


def test_where_it_reads_can_be_said(lagging):
    async def main() -> None:
        async with running(lagging) as (web, _):
            assert (await web.get("/primary")).json() is False
            assert (await web.get("/replica")).json() is True

    asyncio.run(main())
