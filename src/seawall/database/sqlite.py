"""An SQLite file, in the place of servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import create_async_engine

from seawall.database.statements import StatementClass

_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000")

Ran = Callable[[str, StatementClass, Any, float, int, Any], None]


class SqliteFile:
    """SQLite's engine, with readers who don't wait for a writer, and foreign keys that hold.

    ran: told of each statement: text, class, this file, the seconds it took, its rows, and its parameters.
    """

    name = "sqlite"

    def __init__(self, url: URL, ran: Ran) -> None:
        self._ran = ran
        self.engine = create_async_engine(url, hide_parameters=True)
        event.listen(self.engine.sync_engine, "connect", _prepare)
        event.listen(self.engine.sync_engine, "before_cursor_execute", _begin)
        event.listen(self.engine.sync_engine, "after_cursor_execute", self._end)

    async def plan(self, statement: str, parameters: Sequence[Any]) -> list[str]:
        """What SQLite does for `statement`, in its own words."""
        async with self.engine.connect() as connection:
            # The driver's own connection, whose statements nobody counts.
            driver: Any = (await connection.get_raw_connection()).driver_connection
            rows = await driver.execute_fetchall(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return [row[3] for row in rows]

    def _end(self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seconds = time.perf_counter() - context.seawall_began
        kind = StatementClass.READ if statement[:6].upper() == "SELECT" else StatementClass.WRITE
        self._ran(statement, kind, self, seconds, cursor.rowcount, parameters)


def _prepare(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    context.seawall_began = time.perf_counter()
