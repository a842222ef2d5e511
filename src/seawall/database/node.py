"""One server: its pool of connections, and a probe of its own that tells what it is and how far it has come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

from seawall.core import Clock
from seawall.database.position import Position, lsn_of
from seawall.database.routing import NodeState, Role

_logger = logging.getLogger("seawall.database")
PROBE_TIMEOUT = 0.1
"""Seconds a probe may take."""
FAST, SLOW = 0.01, 0.1
"""Seconds between two probes: while somebody waits for a position, and otherwise."""
CONNECT_TIMEOUT = 2.0
"""Seconds a connection of the probe may take; a server that is stopped accepts it and says nothing."""
LATE = 0.02
"""Seconds by which a timer may be late before that says more of this process than of the server."""
LOST_AFTER = 2
"""After so many probes without an answer what is under way there is given up."""
PRIMARY_LOST_AFTER = 30
"""The same at the primary, whose transactions nobody else can go on with."""

READS = 10.0
"""Seconds for which a connection outside of the pool is lent."""

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
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END
"""
# What no waiting mends: a wrong password or user, a database that isn't there.
_WRONG = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """How many connections to each server there may be. Times in seconds.

    size: kept open. overflow: more of them while they are needed. wait: for a free one. recycle: age at which a
    connection is replaced. pooler: whether a pooler in transaction mode (PgBouncer) stands before the server.
    """

    size: int = 10
    overflow: int = 20
    wait: float = 30.0
    recycle: float = 3600.0
    pooler: bool = False
    connect_args: dict[str, Any] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """Connections at one time."""
        return self.size + self.overflow


class Node:
    """A server of a cluster."""

    def __init__(self, url: URL, pool: PoolOptions, clock: Clock, changed: Callable[[Node], None]) -> None:
        self.name = f"{url.host or 'localhost'}:{url.port or 5432}"
        self.state = NodeState(self.name)
        self.options = pool
        self.system = ""
        self.wrong: str | None = None
        """What is wrong with it that waiting doesn't mend."""
        self.tried = asyncio.Event()
        self.url = url
        self._clock = clock
        self._changed = changed
        self.measured: Callable[[Node], None] = lambda node: None
        """Told of each answer to a probe."""
        self._hurry_until = 0.0
        self._hurried = asyncio.Event()
        self._missed = 0
        self._up = False
        self._task: asyncio.Task[None] | None = None
        self._in_use: set[PoolProxiedConnection] = set()
        self._engine = _engine(url, pool)

    # The pool.

    def checkout(self) -> PoolProxiedConnection:
        """A connection, from within a greenlet; waits for a free one. Give it back with `give_back`."""
        connection = self._engine.sync_engine.pool.connect()
        self._in_use.add(connection)
        return connection

    def give_back(self, connection: PoolProxiedConnection) -> None:
        """Return a connection, from within a greenlet."""
        self._in_use.discard(connection)
        connection.close()

    def throw_away(self, connection: PoolProxiedConnection, error: BaseException | None = None) -> None:
        """Close a connection that nobody should get again, from within a greenlet."""
        self._in_use.discard(connection)
        connection.invalidate(error)
        connection.close()

    @property
    def in_use(self) -> int:
        """Connections that are in use."""
        return len(self._in_use)

    def renew(self) -> None:
        """Every connection made until now is closed when it comes back; new callers get new ones."""
        engine, self._engine = self._engine, _engine(self.url, self.options)
        # Those in use go back to the old pool, which closes them.
        task = asyncio.get_running_loop().create_task(engine.dispose())
        _background.add(task)
        task.add_done_callback(_background.discard)

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
        """End the probe and close the pool."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None
        await self._engine.dispose()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Any]:
        """A connection of asyncpg's outside of the pool, for `READS` seconds at most."""
        async with asyncio.timeout(READS):
            connection = await asyncpg.connect(**_probe_arguments(self.url, self.options))
            try:
                yield connection
            finally:
                connection.terminate()

    def hurry(self, seconds: float = 1.0) -> None:
        """Somebody waits for what the next probe tells."""
        self._hurry_until = self._clock.monotonic() + seconds
        self._hurried.set()

    async def _probe(self) -> None:
        pause = FAST
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    connection = await asyncpg.connect(**_probe_arguments(self.url, self.options))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may go well
                self._down(_words(error))
                self.wrong = _words(error) if isinstance(error, _WRONG) else None
            else:
                try:
                    await self._watch(connection)
                except TimeoutError as error:
                    self._down(_words(error))
                except Exception:  # noqa: BLE001 - perhaps it is this connection only: the next attempt tells
                    self.state.usable = False
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
                self.state.usable = False  # others serve, until it is clear what it is
                continue
            self._answered(row, began)
            self.tried.set()
            self._hurried.clear()
            if self._clock.monotonic() < self._hurry_until:
                await asyncio.sleep(FAST)
            else:
                try:
                    async with asyncio.timeout(SLOW):
                        await self._hurried.wait()
                except TimeoutError:
                    pass

    def _answered(self, row: Any, began: float) -> None:
        recovering, lsn, timeline = row
        state = self.state
        now = self._clock.monotonic()
        state.probed = now
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


_background: set[asyncio.Task[Any]] = set()


def _engine(url: URL, pool: PoolOptions) -> AsyncEngine:
    arguments: dict[str, Any] = {"timeout": CONNECT_TIMEOUT, **pool.connect_args}
    if pool.pooler:
        # The pooler gives each transaction another server connection, which knows no statement of the last.
        arguments |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool.size,
        max_overflow=pool.overflow,
        pool_timeout=pool.wait,
        pool_recycle=int(pool.recycle),
        pool_use_lifo=True,
        connect_args=arguments,
    )


def _probe_arguments(url: URL, pool: PoolOptions) -> dict[str, Any]:
    arguments: dict[str, Any] = {**url.translate_connect_args(username="user"), **url.query, **pool.connect_args}
    arguments["statement_cache_size"] = 0
    arguments["server_settings"] = {"application_name": "seawall-probe"} | arguments.get("server_settings", {})
    return arguments


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it doesn't answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) or type(error).__name__
