"""Each server has a check of its own, with how far it is behind; only without a primary is a service not ready."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from seawall import Seawall
from seawall.database import Database
from seawall.settings import Settings
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

Ready = Callable[[], Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture
def own() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(), primary.replica(delay=0.6)))


def name(server: Postgres) -> str:
    return f"127.0.0.1:{server.port}"


def play(own: Cluster, scene: Callable[[Database, Ready], Awaitable[None]]) -> None:
    replicas = tuple(replica.url for replica in own.replicas)
    sea = Seawall(service="x", settings=Settings(database_url=own.primary.url, database_replica_urls=replicas))
    database = sea.database
    app = FastAPI()
    sea.install(app)

    async def main() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://x") as web,
        ):

            async def ready() -> tuple[int, dict[str, Any]]:
                answer = await web.get("/health/ready")
                return answer.status_code, answer.json()["checks"]["database"]

            async with asyncio.timeout(30):
                await scene(database, ready)

    asyncio.run(main())


async def until(ready: Ready, server: Postgres, status: str) -> tuple[int, dict[str, Any]]:
    while True:
        code, found = await ready()
        if found["checks"][name(server)]["status"] == status:
            return code, found
        await asyncio.sleep(0.02)


def test_each_server_says_how_far_it_is_behind(own):
    async def scene(database: Database, ready: Ready) -> None:
        prompt, late = own.replicas
        await database.fetch("CREATE TABLE t AS SELECT 1 AS n")
        await asyncio.sleep(1.0)
        await database.fetch("UPDATE t SET n = 2")
        await asyncio.sleep(0.25)
        code, found = await ready()
        assert (code, found["status"]) == (200, "healthy")
        messages = {server: check["message"] for server, check in found["checks"].items()}
        assert re.fullmatch(r"primary, answers in \d+\.\d ms", messages[name(own.primary)])
        assert re.fullmatch(r"replica, answers in \d+\.\d ms; 0 bytes behind", messages[name(prompt)])
        behind = re.fullmatch(r"replica, .*; (\d+) bytes and (\d+\.\d) s behind", messages[name(late)])
        assert behind is not None
        assert int(behind[1]) > 0
        assert 1.0 <= float(behind[2]) < 5.0

    play(own, scene)


def test_a_replica_that_receives_nothing_says_so(own):
    async def scene(database: Database, ready: Ready) -> None:
        replica = own.replicas[0]
        await asyncio.to_thread(replica.psql, "ALTER SYSTEM SET primary_conninfo = ''")
        await asyncio.to_thread(replica.reload)
        while "no WAL receiver" not in (await ready())[1]["checks"][name(replica)]["message"]:
            await asyncio.sleep(0.02)
        shown = {node.name: node for node in database.nodes()}
        assert [shown[name(each)].receiving for each in own.replicas] == [False, True]
        await database.fetch("CREATE TABLE t AS SELECT 1 AS n")
        while not database.nodes()[1].behind:
            await asyncio.sleep(0.02)

    play(own, scene)


def test_a_replica_that_is_away_is_degraded_and_the_service_ready(own):
    async def scene(_: Database, ready: Ready) -> None:
        await asyncio.to_thread(own.replicas[0].kill)
        code, found = await until(ready, own.replicas[0], "degraded")
        assert (code, found["status"]) == (200, "degraded")
        assert found["checks"][name(own.replicas[0])]["message"]
        assert found["checks"][name(own.primary)]["status"] == "healthy"

    play(own, scene)


def test_without_a_primary_the_service_is_not_ready(own):
    async def scene(_: Database, ready: Ready) -> None:
        await asyncio.to_thread(own.primary.kill)
        code, found = await until(ready, own.primary, "unhealthy")
        assert (code, found["status"]) == (503, "unhealthy")
        assert "no primary" in found["message"]
        assert found["checks"][name(own.replicas[0])]["status"] == "healthy"

    play(own, scene)
