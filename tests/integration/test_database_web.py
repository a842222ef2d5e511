"""A position's way through a browser: two processes of a service, one replica that lags, a cookie or a header."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from seawall import Seawall
from seawall.settings import Settings
from seawall.testing.postgres import Postgres
from seawall.web.consistency import NAME
from tests.integration.conftest import Cluster

KEY = "sixteen characters, at least"


@pytest.fixture(scope="module")
def lagging() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(delay=0.4),))


def service(cluster: Cluster, key: str = KEY) -> FastAPI:
    replicas = tuple(replica.url for replica in cluster.replicas)
    settings = Settings(database_url=cluster.primary.url, database_replica_urls=replicas, secret_key=key)
    sea = Seawall(service="notes", settings=settings)
    database = sea.database
    app = FastAPI()
    sea.install(app)
    app.state.database = database

    @app.post("/notes")
    async def add() -> dict[str, int]:
        [row] = await database.fetch("UPDATE notes SET n = n + 1 RETURNING n")
        return {"n": row["n"]}

    @app.get("/notes")
    def read_in_a_thread() -> dict[str, str]:
        return {"caller": str(database.position)}

    @app.get("/notes/latest")
    async def read() -> dict[str, int]:
        [row] = await database.fetch("SELECT n FROM notes")
        return {"n": row["n"]}

    return app


@asynccontextmanager
async def running(*apps: FastAPI) -> AsyncIterator[list[httpx2.AsyncClient]]:
    async with AsyncExitStack() as stack:
        clients = []
        for number, app in enumerate(apps):
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx2.ASGITransport(app=app)
            client = httpx2.AsyncClient(transport=transport, base_url=f"http://process-{number}")
            clients.append(await stack.enter_async_context(client))
        database = apps[0].state.database
        await database.fetch("CREATE TABLE IF NOT EXISTS notes AS SELECT 0 AS n")
        await asyncio.sleep(0.6)
        for app in apps:
            await app.state.database._load_catalogue()
        yield clients


def test_what_one_process_wrote_the_other_shows_to_whoever_wrote_it(lagging):
    async def main() -> None:
        async with running(service(lagging), service(lagging)) as (one, other):
            for _ in range(4):
                written = await one.post("/notes")
                cookie = written.headers["set-cookie"]
                assert cookie.startswith(f"{NAME}=")
                assert "HttpOnly" in cookie
                assert str(lagging.primary.port) not in cookie
                token = written.headers[NAME]
                header = (await other.get("/notes/latest", headers={NAME: token})).json()["n"]
                with_cookie = (await other.get("/notes/latest", headers={"cookie": f"{NAME}={token}"})).json()["n"]
                other.cookies.clear()
                without = (await other.get("/notes/latest")).json()["n"]
                other.cookies.clear()
                assert header == with_cookie == written.json()["n"]
                assert without < written.json()["n"], "somebody else may see what was before"

    asyncio.run(main())


def test_a_token_of_somebody_else_is_served_by_the_primary(lagging):
    async def main() -> None:
        async with running(service(lagging), service(lagging, "another key of some length")) as (one, other):
            written = await one.post("/notes")
            for token in (written.headers[NAME], "garbage", ""):
                answer = await other.get("/notes/latest", headers={NAME: token})
                other.cookies.clear()
                assert answer.json() == written.json()

    asyncio.run(main())


def test_what_was_read_stays_read(lagging):
    """After the primary has shown something, a replica that lacks it is not asked."""

    async def main() -> None:
        async with running(service(lagging), service(lagging)) as (one, other):
            for _ in range(3):
                written: Any = (await one.post("/notes")).json()["n"]
                seen = await one.get("/notes/latest", headers={NAME: "garbage"})  # as somebody else, at the primary
                one.cookies.clear()
                assert seen.json()["n"] == written
                again = await other.get("/notes/latest", headers={NAME: seen.headers[NAME]})
                other.cookies.clear()
                assert again.json()["n"] >= written

    asyncio.run(main())
