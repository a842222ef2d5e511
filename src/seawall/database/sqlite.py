"""An SQLite file, in the place of servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from seawall.core import Events, deadline
from seawall.database.adapted import Late, within
from seawall.database.errors import DatabaseBusyError, PoolTimeoutError, QueryTimeoutError
from seawall.database.fair import FairPool
from seawall.database.pools import PoolOptions
from seawall.database.statements import StatementClass
from seawall.database.telling import tell

BUSY_TIMEOUT = 5.0
"""Seconds to wait for a writer in another process."""
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT * 1000:.0f}")

Ran = Callable[[str, StatementClass, Any, float, int, Any], None]


class SqliteFile:
    """SQLite's engine, with readers who don't wait for a writer, and foreign keys that hold.

    database: the name errors give it. ran: told of each statement: text, class, this file, the seconds it took, its
    rows, and its parameters. events: told of it where the trace is recorded.
    """

    name = "sqlite"

    def __init__(self, database: str, url: URL, pool: PoolOptions, ran: Ran, events: Events) -> None:
        self._database = database
        self._ran = ran
        self._events = events
        self.engine = _engine(database, url, pool)
        engine = self.engine.sync_engine
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "before_cursor_execute", _begin)
        event.listen(engine, "after_cursor_execute", self._end)
        event.listen(engine, "handle_error", self._failed)

    async def plan(self, statement: str, parameters: Sequence[Any]) -> list[str]:
        """What SQLite does for `statement`, in its own words."""
        async with self.engine.connect() as connection:
            # The driver's own connection, whose statements nobody counts.
            driver: Any = (await connection.get_raw_connection()).driver_connection
            rows = await driver.execute_fetchall(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return [row[3] for row in rows]

    def _end(self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seconds = time.perf_counter() - context.seawall_began
        self._ran(statement, _kind_of(statement), self, seconds, cursor.rowcount, parameters)

    def _failed(self, context: Any) -> None:
        began, statement = getattr(context.execution_context, "seawall_began", None), context.statement
        if began is not None and statement is not None:
            seconds, error = time.perf_counter() - began, context.original_exception
            tell(self._events, self._database, self.name, statement, _kind_of(statement), seconds, error=error)
        if "database is locked" in str(context.original_exception):
            raise DatabaseBusyError(self._database, BUSY_TIMEOUT) from context.original_exception


def _kind_of(statement: str) -> StatementClass:
    return StatementClass.READ if statement[:6].upper() == "SELECT" else StatementClass.WRITE


def _begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    context.seawall_began = time.perf_counter()


class _FilePool(FairPool):
    """Such a pool whose errors are ours, and which waits no longer than the deadline."""

    def _do_get(self) -> ConnectionPoolEntry:
        left = deadline.remaining()
        try:
            return super()._do_get() if left is None else within(left, super()._do_get)
        except PoolTimeout as error:
            most = self.size() + self._max_overflow
            raise PoolTimeoutError(self.logging_name or "", SqliteFile.name, most, self._timeout) from error
        except Late:
            raise QueryTimeoutError(self.logging_name or "", SqliteFile.name) from None


def _engine(database: str, url: URL, pool: PoolOptions) -> AsyncEngine:
    dialect: Any = url.get_dialect()
    if not issubclass(dialect.get_pool_class(url), AsyncAdaptedQueuePool):
        return create_async_engine(url, hide_parameters=True)  # in memory: one connection, which all share
    return create_async_engine(
        url,
        hide_parameters=True,
        poolclass=_FilePool,
        pool_logging_name=database,
        pool_size=pool.size,
        max_overflow=pool.overflow,
        pool_timeout=pool.wait,
    )


def _prepare(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
