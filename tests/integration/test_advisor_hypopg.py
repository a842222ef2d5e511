"""The advisor with HypoPG, which only Debian packages: a server of the system's with the extension."""

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from seawall.database.advisor import Report, analyze
from seawall.testing.postgres_host import free_port, server_account

PROGRAMS = [
    Path("/usr/lib/postgresql") / control.parts[-3] / "bin"
    for control in Path("/usr/share/postgresql").glob("*/extension/hypopg.control")
]
pytestmark = pytest.mark.skipif(
    not PROGRAMS or not (PROGRAMS[-1] / "postgres").exists(),
    reason="needs Debian's PostgreSQL with HypoPG: apt-get install postgresql-15-hypopg",
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="seawall-hypopg-")
    account = server_account()
    user: dict[str, Any] = {}
    if account is not None:
        os.chown(directory, *account)
        user = {"user": account[0], "group": account[1], "extra_groups": []}
    password, port, programs = secrets.token_hex(8), free_port(), PROGRAMS[-1]
    secret = Path(directory, "password")
    secret.write_text(password)
    secret.chmod(0o644)
    data = f"{directory}/data"
    made: list[str | Path] = [
        programs / "initdb",
        "--no-sync",
        "-D",
        data,
        "-U",
        "postgres",
        f"--pwfile={secret}",
        "-A",
        "scram-sha-256",
    ]
    subprocess.run(made, check=True, capture_output=True, cwd=directory, **user)
    options = ["-c", "fsync=off", "-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]
    command: list[str | Path] = [programs / "postgres", "-D", data, "-p", str(port), *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=directory, **user) as server:
        try:
            url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
            asyncio.run(prepared(url))
            yield url
        finally:
            server.terminate()
            server.wait(20)
            shutil.rmtree(directory, ignore_errors=True)


async def prepared(url: str) -> None:
    give_up = time.monotonic() + 20
    while True:
        try:
            connection = await asyncpg.connect(url)
            break
        except (OSError, asyncpg.CannotConnectNowError):
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.1)
    await connection.execute(
        "CREATE TABLE people (id int PRIMARY KEY, email text, tags text[], pad text);"
        "INSERT INTO people SELECT i, 'p' || i, ARRAY['t' || i], repeat('x', 80) FROM generate_series(1, 60000) i"
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def advised(url: str, *statements: str) -> Report:
    return asyncio.run(analyze(url, list(statements)))


def test_the_copy_and_hypopg_agree(url):
    report = advised(url, "SELECT * FROM people WHERE email = 'p5'", "SELECT id FROM people WHERE tags @> ARRAY['t5']")
    assert len(report.indexes) == 2
    assert not report.skipped


def test_hypopg_alone_is_enough_where_no_copy_can_be_made(url, monkeypatch):
    async def no_copy(self, hypothetical):
        assert hypothetical is not None
        return False

    monkeypatch.setattr("seawall.database.advisor.postgres.PostgresAnalysis._can_copy", no_copy)
    report = advised(url, "SELECT * FROM people WHERE email = $1", "SELECT * FROM people WHERE pad <> 'x'")
    (index,) = report.indexes
    assert index.ddl == "CREATE INDEX CONCURRENTLY people_email_idx ON public.people (email);"
    assert index.checked_by == "hypopg"
    assert index.gains[0].after is None
    assert index.bytes > 500_000


def test_the_extension_is_not_left_installed(url):
    async def extensions() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            return [row[0] for row in await connection.fetch("SELECT extname FROM pg_extension")]
        finally:
            await connection.close()

    advised(url, "SELECT * FROM people WHERE email = 'p5'")
    assert asyncio.run(extensions()) == ["plpgsql"]
