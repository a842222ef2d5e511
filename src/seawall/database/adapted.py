"""A transaction of ours on SQLAlchemy's asyncpg connection; its own takes a round trip for each thing it sets."""

from __future__ import annotations

from typing import Any


class _Transaction:
    """An open transaction, as SQLAlchemy's asyncpg connection knows it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def commit(self) -> None:
        await self._connection.execute("COMMIT")

    async def rollback(self) -> None:
        await self._connection.execute("ROLLBACK")


async def begin(adapted: Any, sql: str) -> None:
    """Open a transaction on `adapted` with `sql`, which begins with BEGIN."""
    await adapted._connection.execute(sql)
    _mark(adapted, _Transaction(adapted._connection))


def forget(adapted: Any) -> None:
    """There is no transaction any more, and nothing that was set for it."""
    _mark(adapted, None)
    adapted.isolation_level = None


def _mark(adapted: Any, transaction: _Transaction | None) -> None:
    adapted._transaction = transaction
    if hasattr(adapted, "_started"):  # SQLAlchemy 2.0
        adapted._started = transaction is not None
