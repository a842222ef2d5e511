"""Behind PgBouncer in transaction mode: fewer connections to the server than callers, each transaction on any."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from seawall.database import Database
from seawall.testing.postgres import Postgres
from seawall.testing.postgres_host import free_port
from tests.integration.conftest import Cluster

CALLERS, ROUNDS = 15, 10

pgbouncer = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(pgbouncer is None, reason="PgBouncer isn't there; install it: apt install pgbouncer")


def configuration(server: Postgres, port: int, directory: Path) -> str:
    options = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": directory / "users",
        "pool_mode": "transaction",
        "default_pool_size": 3,
        "logfile": directory / "log",
    }
    lines = [f"{name} = {value}\n" for name, value in options.items()]
    target = f"host={server.host} port={server.port} dbname={server.database}"
    return f"[databases]\n{server.database} = {target}\n[pgbouncer]\n{''.join(lines)}"


@pytest.fixture
def pooled(cluster: Cluster) -> Iterator[str]:
    """The URL of a pooler before the primary, which has three connections."""
    server, port = cluster.primary, free_port()
    with tempfile.TemporaryDirectory(prefix="seawall-pgbouncer-") as made:
        directory = Path(made)
        (directory / "users").write_text(f'"{server.user}" "{server.password}"\n')
        file = directory / "pgbouncer.ini"
        file.write_text(configuration(server, port, directory))
        account: Any = {}
        if server._account is not None:  # it refuses root, as PostgreSQL does
            account = {"user": server._account[0], "extra_groups": []}
            for path in (directory, *directory.iterdir()):
                os.chown(path, *server._account)
        assert pgbouncer is not None
        with subprocess.Popen([pgbouncer, "-q", file], stderr=subprocess.DEVNULL, **account) as process:
            log = directory / "log"
            until = time.monotonic() + 10
            while not log.exists() or "process up" not in log.read_text():
                assert time.monotonic() < until
                time.sleep(0.02)
            yield f"postgresql://{server.user}:{server.password}@127.0.0.1:{port}/{server.database}"
            process.terminate()


def test_many_callers_share_few_connections_and_read_what_they_wrote(pooled):
    async def main() -> None:
        async with Database(pooled, pooler=True) as database:
            await database.fetch("DROP TABLE IF EXISTS pooled")
            await database.fetch("CREATE TABLE pooled (id int PRIMARY KEY, n int NOT NULL)")
            await database.fetch(
                "INSERT INTO pooled SELECT id, 0 FROM generate_series(1, :count) AS id", {"count": CALLERS}
            )

            async def call(caller: int) -> None:
                for number in range(1, ROUNDS + 1):
                    with database.calling():
                        async with database.session() as session:
                            update = text("UPDATE pooled SET n = n + 1 WHERE id = :id")
                            await session.execute(update, {"id": caller})
                            await session.commit()
                        [row] = await database.fetch("SELECT n FROM pooled WHERE id = :id", {"id": caller})
                        assert row["n"] == number
                        other = await database.fetch(f"SELECT {number} AS n FROM pooled WHERE id = :id", {"id": caller})
                        assert other[0]["n"] == number

            await asyncio.gather(*(call(caller) for caller in range(1, CALLERS + 1)))

    asyncio.run(main())
