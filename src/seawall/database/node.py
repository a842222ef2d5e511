"""One server: its pool of connections, and a probe of its own that tells what it is and how far it has come."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection

from seawall.core import Clock
from seawall.database.pools import CONNECT_TIMEOUT, PoolOptions, arguments_of, engine_of, probe_arguments
from seawall.database.position import Position, lsn_of, lsn_text
from seawall.database.routing import NodeState, Role
from seawall.database.urls import connect_timeout, name_of

_logger = logging.getLogger("seawall.database")
PROBE_TIMEOUT = 0.1
"""Seconds a probe may take."""
FAST, SLOW = 0.01, 0.1
"""Seconds between two probes: while somebody waits for a position, and otherwise."""
NEAR = 0.002
"""Seconds between two probes while a read waits for this server."""
WAITS_SINCE = 19
"""PostgreSQL's version that has WAIT FOR LSN."""
LATE = 0.02
"""Seconds by which a timer may be late before that says more of this process than of the server."""
LOST_AFTER = 2
"""After so many probes without an answer what is under way there is given up."""
PRIMARY_LOST_AFTER = 30
"""The same at the primary, whose transactions nobody else can go on with."""

READS = 10.0
"""Seconds for which a connection outside of the pool is lent."""

_SILENT = "it doesn't answer in time"
_IDENTITY = """
SELECT (SELECT system_identifier FROM pg_control_system())::text, pg_postmaster_start_time()::text
"""
_STATE = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text,
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
                          greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                                   (SELECT min_recovery_end_timeline FROM pg_control_recovery())))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8,
       EXISTS (SELECT FROM pg_stat_wal_receiver)
"""
# What no waiting mends: a wrong password or user, a database that isn't there, no file with the certificates to trust.
_WRONG = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)


class Node:
    """A server of a cluster."""

    def __init__(self, url: URL, pool: PoolOptions, clock: Clock, changed: Callable[[Node], None]) -> None:
        self.name = name_of(url)
        self.state = NodeState(self.name)
        self.options = pool
        self.system = ""
        self.wrong: str | None = None
        """What is wrong with it that waiting doesn't mend."""
        self.tried = asyncio.Event()
        self.url = url
        self.application = str(arguments_of(url, pool).get("server_settings", {}).get("application_name", ""))
        """What its connections are called."""
        self._clock = clock
        self._changed = changed
        self.measured: Callable[[Node], None] = lambda node: None
        """Told of each answer to a probe."""
        self._hurry_until = 0.0
        self._hurried = asyncio.Event()
        self._awaited: list[int] = []
        self._awaiting = asyncio.Event()
        self._missed = 0
        self._up = False
        self._task: asyncio.Task[None] | None = None
        self._in_use: dict[PoolProxiedConnection, AsyncEngine] = {}
        self._engine = engine_of(url, pool)

    # The pool.

    def checkout(self) -> PoolProxiedConnection:
        """A connection, from within a greenlet; waits for a free one. Give it back with `give_back`."""
        engine = self._engine
        connection = engine.sync_engine.pool.connect()
        self._in_use[connection] = engine
        return connection

    def give_back(self, connection: PoolProxiedConnection) -> None:
        """Return a connection, from within a greenlet."""
        if self._in_use.pop(connection, None) is not self._engine:  # its pool is no more
            connection.invalidate()
        connection.close()

    def throw_away(self, connection: PoolProxiedConnection, error: BaseException | None = None) -> None:
        """Close a connection that nobody should get again, from within a greenlet."""
        self._in_use.pop(connection, None)
        connection.invalidate(error)
        connection.close()

    @property
    def in_use(self) -> int:
        """Connections that are in use."""
        return len(self._in_use)

    def renew(self) -> None:
        """Every connection made until now is closed when it comes back; new callers get new ones."""
        engine, self._engine = self._engine, engine_of(self.url, self.options)
        task = asyncio.get_running_loop().create_task(engine.dispose())
        _background.add(task)
        task.add_done_callback(_background.discard)

    async def end_all(self) -> None:
        """End what is under way there, also at the server, which would otherwise go on with it and keep its locks."""
        adapted: list[Any] = [connection.dbapi_connection for connection in self._in_use]
        connections = [each._connection for each in adapted if each is not None]
        pids = [connection.get_server_pid() for connection in connections if not connection.is_closed()]
        if not self.options.pooler:  # whose numbers are no processes
            with suppress(Exception):  # there is no server that would go on
                async with asyncio.timeout(CONNECT_TIMEOUT), self.lent() as connection:
                    await connection.fetch("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", pids)
        self.abandon()

    def abandon(self) -> None:
        """Cut the connections under way, so that whoever waits for an answer gets an error at once."""
        for connection in list(self._in_use):
            adapted = connection.dbapi_connection
            if adapted is not None:
                adapted._connection.terminate()

    def suspect(self, reason: str) -> None:
        """It gave no connection, or lost one: not to be used before its probe has an answer."""
        self._up = False
        self.state.usable = False
        self.state.why = reason
        self.hurry()

    async def is_standby(self) -> bool:
        """Whether it says so now; True too when it doesn't answer."""
        try:
            async with self.lent() as connection:
                return bool(await connection.fetchval("SELECT pg_is_in_recovery()"))
        except Exception:  # noqa: BLE001
            return True

    # The probe.

    def start(self) -> None:
        """Begin to probe."""
        self._task = asyncio.get_running_loop().create_task(self._probe(), name=f"seawall-database-{self.name}")

    async def stop(self) -> None:
        """End the probe, cut off what is under way, and close the pool."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None
        self.abandon()
        engine, self._engine = self._engine, engine_of(self.url, self.options)
        await engine.dispose()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Any]:
        """A connection of asyncpg's outside of the pool, for `READS` seconds at most."""
        async with asyncio.timeout(READS):
            connection = await asyncpg.connect(**probe_arguments(self.url, self.options))
            try:
                yield connection
            finally:
                connection.terminate()

    def hurry(self, seconds: float = 1.0) -> None:
        """Somebody waits for what the next probe tells."""
        self._hurry_until = self._clock.monotonic() + seconds
        self._hurried.set()

    @contextmanager
    def awaited(self, lsn: int) -> Iterator[None]:
        """A block in which somebody waits until this server has come to `lsn`, or for its next answer."""
        self._awaited.append(lsn)
        self._awaiting.set()
        self._hurried.set()
        try:
            yield
        finally:
            self._awaited.remove(lsn)

    async def _probe(self) -> None:
        pause = FAST
        while True:
            try:
                async with asyncio.timeout(connect_timeout(self.url) or CONNECT_TIMEOUT):
                    connection = await asyncpg.connect(**probe_arguments(self.url, self.options))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may go well
                self._down(_words(error))
                self.wrong = _words(error) if isinstance(error, _WRONG) else None
            else:
                try:
                    await self._watch(connection)
                except TimeoutError as error:
                    self._down(_words(error))
                except Exception as error:  # noqa: BLE001 - perhaps it is this connection only: the next attempt tells
                    self.state.usable, self.state.why = False, _words(error)
                finally:
                    connection.terminate()
                pause = FAST
            self.tried.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, SLOW)

    async def _watch(self, connection: Any) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            self.system, incarnation = await connection.fetchrow(_IDENTITY)
            statement = await connection.prepare(_STATE)
        if incarnation != self.state.incarnation:
            self.state.incarnation = incarnation
            self.state.forget()
        while True:
            began = self._clock.monotonic()
            try:
                async with asyncio.timeout(PROBE_TIMEOUT):
                    row = await statement.fetchrow()
            except TimeoutError:
                if self._clock.monotonic() - began > PROBE_TIMEOUT + LATE:
                    continue  # it was this loop that stood still
                self._missed += 1
                if self._missed >= (PRIMARY_LOST_AFTER if self.state.role is Role.PRIMARY else LOST_AFTER):
                    raise
                self.state.usable, self.state.why = False, _SILENT  # others serve, until it is clear what it is
                continue
            self._answered(row, began)
            self.tried.set()
            self._hurried.clear()
            await self._pause(connection)

    async def _pause(self, connection: Any) -> None:
        """Until it is time for the next probe."""
        if self._awaited:
            await self._approach(connection)
            return
        self._awaiting.clear()
        hurries = self._clock.monotonic() < self._hurry_until
        with suppress(TimeoutError):
            async with asyncio.timeout(FAST if hurries else SLOW):
                await (self._awaiting if hurries else self._hurried).wait()

    async def _approach(self, connection: Any) -> None:
        """Until it has come to what is awaited, where the server can tell by itself, and for a moment otherwise."""
        position = self.state.position
        waits = self.state.role is Role.STANDBY and connection.get_server_version().major >= WAITS_SINCE
        if waits and position is not None and (ahead := [lsn for lsn in self._awaited if lsn > position.lsn]):
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_TIMEOUT):
                    await connection.execute(wait_sql(min(ahead), FAST))
        else:
            await asyncio.sleep(NEAR)

    def _answered(self, row: Any, began: float) -> None:
        recovering, lsn, timeline, age, receiving = row
        state = self.state
        now = self._clock.monotonic()
        state.probed, state.age, state.receiving = now, age, receiving
        state.latency += 0.2 * (now - began - state.latency)
        self._missed = 0
        self.wrong = None
        role = Role.STANDBY if recovering else Role.PRIMARY
        changed = role is not state.role or not self._up
        if lsn is not None and timeline is not None:
            state.saw(Position(timeline, lsn_of(lsn)), began)
        state.role = role
        state.usable = bool(state.positions)
        self._up = state.usable
        state.why = "" if state.usable else "it has replayed nothing yet"
        if changed:
            self._changed(self)
        self.measured(self)

    def _down(self, reason: str) -> None:
        state = self.state
        was_up, self._up = self._up, False
        state.usable, state.why = False, reason
        self.abandon()
        if was_up:
            _logger.warning("database: %s is away: %s", self.name, reason)
            self._changed(self)

    def __repr__(self) -> str:
        return f"Node({self.name}, {self.state.role}, {'usable' if self.state.usable else self.state.why})"


def wait_sql(lsn: int, seconds: float) -> str:
    """What lets a standby wait until it has replayed up to `lsn`; it fails neither by lateness nor by a promotion."""
    milliseconds = max(1, round(seconds * 1000))
    return f"WAIT FOR LSN '{lsn_text(lsn)}' WITH (MODE 'standby_replay', TIMEOUT '{milliseconds}ms', NO_THROW)"


_background: set[asyncio.Task[Any]] = set()


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return _SILENT
    if isinstance(error, ssl.SSLError):  # whose numbers are OpenSSL's
        return str(error)
    if isinstance(error, OSError):
        # asyncio's own words have the address in them, which whoever reads this has already.
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return str(error) or type(error).__name__
