"""A cursor of whichever server its statement went to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from seawall.database.errors import DatabaseError

_ENDED = "the rows were streamed in a transaction that is over; read them before it is committed, or all at once"


class Runs(Protocol):
    """The connection of a cursor."""

    @property
    def stale_before(self) -> float:
        """What was prepared before is prepared anew; seconds since the epoch."""
        ...

    def run(self, operation: str, call: Callable[[Any], object], parameters: Any, *, server_side: bool) -> Any:
        """Have `call` execute `operation` with a cursor of the right server; the cursor."""
        ...

    def broken_off(self, error: Exception) -> Exception:
        """What to raise where `error` ended the rows of a cursor."""
        ...


class _Ended:
    """Stands for a cursor whose transaction is over."""

    description = None
    rowcount = -1

    def close(self) -> None:
        """Nothing is left to close."""

    def __getattr__(self, name: str) -> Any:
        raise DatabaseError(_ENDED)


class RoutedCursor:
    """A cursor of whichever server its statement went to."""

    server_side = False
    _awaitable_cursor_close = False
    _soft_closed_memoized: ClassVar[dict[str, Any]] = {}

    def __init__(self, connection: Runs, server_side: bool) -> None:
        self._routed = connection
        self._cursor: Any = None
        self._invalidate_schema_cache_asof = 0
        self.server_side = server_side
        self.arraysize = 1

    def execute(self, operation: str, parameters: Any = None) -> None:
        """Run `operation` where it belongs."""

        def call(cursor: Any) -> None:
            cursor._invalidate_schema_cache_asof = max(self._invalidate_schema_cache_asof, self._routed.stale_before)
            cursor.execute(operation, parameters)

        self._cursor = self._routed.run(operation, call, parameters, server_side=self.server_side)

    def executemany(self, operation: str, parameters: Sequence[Any]) -> None:
        """Run `operation` with each of `parameters`."""

        def call(cursor: Any) -> None:
            cursor._invalidate_schema_cache_asof = max(self._invalidate_schema_cache_asof, self._routed.stale_before)
            cursor.executemany(operation, parameters)

        self._cursor = self._routed.run(operation, call, list(parameters), server_side=False)

    @property
    def description(self) -> Any:
        """What the columns are."""
        return None if self._cursor is None else self._cursor.description

    @property
    def rowcount(self) -> int:
        """How many rows there were."""
        return -1 if self._cursor is None else self._cursor.rowcount

    def end(self) -> None:
        """Its transaction is over; rows that weren't fetched are gone."""
        if self._cursor is not None:
            self._cursor = _Ended()

    def fetchone(self) -> Any:
        """The next row."""
        return self._cursor.fetchone()

    def fetchmany(self, size: int | None = None) -> Any:
        """The next rows."""
        return self._cursor.fetchmany(size)

    def fetchall(self) -> Any:
        """All rows that are left."""
        return self._cursor.fetchall()

    def __iter__(self) -> Any:
        return iter(self._cursor)

    async def _async_soft_close(self) -> None:
        if self._cursor is not None:
            await self._cursor._async_soft_close()

    def close(self) -> None:
        """Let the rows go."""
        if self._cursor is not None:
            self._cursor.close()


class StreamedCursor(RoutedCursor):
    """One whose rows come from the server as they are fetched. Raises `DatabaseUnavailableError` when that is lost."""

    def fetchone(self) -> Any:
        """The next row."""
        return self._rows(self._cursor.fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        """The next rows."""
        return self._rows(self._cursor.fetchmany, size)

    def fetchall(self) -> Any:
        """All rows that are left."""
        return self._rows(self._cursor.fetchall)

    def _rows(self, fetch: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return fetch(*arguments)
        except Exception as error:
            translated = self._routed.broken_off(error)
            if translated is error:
                raise
            raise translated from error
