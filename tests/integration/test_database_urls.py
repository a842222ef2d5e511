"""What a URL says holds on real connections, those of both drivers: TLS, a Unix socket, settings, several hosts."""

import asyncio
import gc
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from seawall.core import Status
from seawall.database import Database, WrongServerError
from seawall.testing.postgres import Postgres
from seawall.testing.postgres_host import server_account
from tests.integration.tls_front import TlsFront, self_signed, tls_front

FACTS = """
SELECT current_setting('application_name') AS name, current_setting('search_path') AS path,
       inet_server_addr() IS NULL AS local
"""

LEAKS = pytest.mark.filterwarnings("ignore:Exception ignored in. <s:pytest.PytestUnraisableExceptionWarning")
"""pg8000 leaves a socket open where it fails to connect; the garbage collector closes it."""


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    """A directory that the server may write to, of a name that is short enough."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as made:
        if (account := server_account()) is not None:
            os.chown(made, *account)
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def server(sockets: Path) -> Iterator[Postgres]:
    with Postgres(config={"unix_socket_directories": str(sockets)}) as primary:
        yield primary


@pytest.fixture
def front(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsFront]:
    """TLS in front of the server, by a certificate that nobody knows."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with tls_front(server.port, *self_signed(tmp_path, "127.0.0.1")) as running:
        yield running


async def facts(database: Database) -> list[dict[str, Any]]:
    """What the server says of a connection of asyncpg's and one of pg8000's."""

    def blocking() -> dict[str, Any]:
        with database.sync_session() as session:
            return dict(session.execute(text(FACTS)).mappings().one())

    async with database:
        [row] = await database.fetch(FACTS, use_read_replica=False)
        return [dict(row), await asyncio.to_thread(blocking)]


def both(url: str, **options: Any) -> list[dict[str, Any]]:
    return asyncio.run(facts(Database(url, **options)))


def at_front(server: Postgres, front: TlsFront, query: str) -> str:
    return f"{server.url.replace(f':{server.port}/', f':{front.port}/')}?{query}"


@pytest.mark.parametrize(
    ("query", "encrypted"), [("sslmode=disable", False), ("", True), ("sslmode=require", True), ("ssl=true", True)]
)
def test_tls_where_it_is_asked_for_and_where_it_can_be(server, front, query, encrypted):
    both(at_front(server, front, query))
    assert (front.encrypted > 0, front.plain > 0) == (encrypted, not encrypted)


@LEAKS
def test_tls_is_never_done_without_where_it_is_required(server):
    async def main() -> None:
        async with Database(f"{server.url}?sslmode=require") as database:
            health = await database.check()
            assert (health.status, "SSL" in health.message) == (Status.UNHEALTHY, True)

            def blocking() -> None:
                with database.sync_session() as session:
                    session.execute(text("SELECT 1"))

            with pytest.raises(Exception, match="refuses SSL"):
                await asyncio.to_thread(blocking)

    asyncio.run(main())


@LEAKS
@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_server_is_verified(server, front, tmp_path, mode):
    both(at_front(server, front, f"sslmode={mode}&sslrootcert={tmp_path / 'server.crt'}"))
    assert front.plain == 0
    strange = tmp_path / "strange"
    strange.mkdir()
    self_signed(strange, "127.0.0.1")
    database = Database(at_front(server, front, f"sslmode={mode}&sslrootcert={strange / 'server.crt'}"))
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"), database.sync_session() as session:
        session.execute(text("SELECT 1"))

    async def main() -> None:
        async with database:
            assert "CERTIFICATE_VERIFY_FAILED" in (await database.check()).message

    asyncio.run(main())
    with pytest.raises(WrongServerError, match="root certificate file"):
        both(at_front(server, front, f"sslmode={mode}"))


def test_names_and_settings(server):
    query = "application_name=api&options=-c%20search_path%3Dshop&connect_timeout=7"
    for found in both(f"{server.url}?{query}"):
        assert (found["name"], found["path"], found["local"]) == ("api", "shop", False)


def test_a_unix_socket(server, sockets):
    who = f"{server.user}:{server.password}@"
    for url in (
        f"postgresql://{who}/postgres?host={sockets}&port={server.port}",
        f"postgresql://{who}{str(sockets).replace('/', '%2F')}:{server.port}/postgres",
    ):
        assert [found["local"] for found in both(url)] == [True, True]


def test_several_hosts_are_a_cluster(server):
    replica = server.replica()
    try:
        url = server.url.replace(f"@{server.host}", f"@{replica.host}:{replica.port},{server.host}")

        async def main() -> None:
            async with Database(url) as database:
                assert database.cluster is not None
                roles = [(node.name, str(node.state.role)) for node in database.cluster.nodes]
                assert roles == [(f"127.0.0.1:{replica.port}", "standby"), (f"127.0.0.1:{server.port}", "primary")]

        asyncio.run(main())
    finally:
        replica.stop()


@LEAKS
def test_a_server_that_says_nothing_is_given_up_in_time(server):
    """By pg8000 too, which has no time limit for connecting alone."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"postgresql://u:p@127.0.0.1:{port}/d?connect_timeout=1")
        with pytest.raises(Exception, match="timed out"), database.sync_session() as session:
            session.execute(text("SELECT 1"))


def test_an_answer_may_take_longer_than_a_connection(server):
    async def main() -> None:
        async with Database(f"{server.url}?connect_timeout=1") as database:

            def blocking() -> None:
                with database.sync_session() as session:
                    session.execute(text("SELECT pg_sleep(1.5)"))

            await asyncio.to_thread(blocking)

    asyncio.run(main())
