"""A transaction of ours on SQLAlchemy's asyncpg connection; its own takes a round trip for each thing it sets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.util import await_only, greenlet_spawn

from seawall.database.position import Position, lsn_of

R = TypeVar("R")
_POSITION = """
SELECT ('x' || substr(pg_walfile_name(lsn), 1, 8))::bit(32)::int, lsn::text FROM pg_current_wal_insert_lsn() AS lsn
"""
LONGEST_NAME = 63
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._:/=@,+-]")


class Late(Exception):  # noqa: N818 - it never leaves this room
    """The time was over."""


class _Transaction:
    """An open transaction, as SQLAlchemy's asyncpg connection knows it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def commit(self) -> None:
        if await self._connection.execute("COMMIT") == "ROLLBACK":
            message = "the transaction had failed before, and COMMIT undid it"
            raise asyncpg.InFailedSQLTransactionError(message)

    async def rollback(self) -> None:
        await self._connection.execute("ROLLBACK")


def begin_sql(
    isolation: str | None, left: float | None, *, readonly: bool, deferrable: bool, label: str | None = None
) -> str:
    """What opens a transaction. left: seconds its statements may take. label: what `named` gave."""
    sql = "BEGIN"
    if isolation is not None:
        sql += f" ISOLATION LEVEL {isolation.replace('_', ' ').upper()}"
    if readonly:
        sql += " READ ONLY"
    if deferrable:
        sql += " DEFERRABLE"
    if left is not None:
        sql += f"; SET LOCAL statement_timeout = {max(1, int(left * 1000))}"
    if label is not None:
        sql += f"; SET LOCAL application_name = '{label}'"
    return sql


def named(adapted: Any, application: str, label: str | None) -> str | None:
    """The `application_name` for work on behalf of `label`; None if the connection has that one already.

    application: what connections are called otherwise, put in front as far as PostgreSQL's 63 bytes allow. Only
    characters that end no string, in whatever dialect the server is set to, are kept; `?` stands for each other one.
    """
    name = application if label is None else f"{application} {label[:LONGEST_NAME]}".strip()
    name = _UNSAFE.sub("?", name)[-LONGEST_NAME:]
    return None if name == adapted._connection.get_settings().application_name else name


async def rename(adapted: Any, label: str) -> None:
    """Let the server call the connection `label`, which `named` gave, from now on."""
    await adapted._connection.execute(f"SET application_name = '{label}'")


def within(seconds: float, function: Callable[[], R]) -> R:
    """`function`, from within a greenlet, for so many seconds at most; then it is cancelled, and this raises `Late`."""

    async def bounded() -> R:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await greenlet_spawn(function)
        except TimeoutError:
            if limit.expired():
                raise Late from None
            raise

    return await_only(bounded())


def check_open(adapted: Any) -> None:
    """Raises `ConnectionResetError` if the server has closed it while nobody used it."""
    if adapted._connection.is_closed():
        message = "the server closed the connection"
        raise ConnectionResetError(message)


async def position_of(adapted: Any) -> Position:
    """How far the primary has come by now; taken after a commit, it covers what was committed."""
    timeline, lsn = await adapted._connection.fetchrow(_POSITION)
    return Position(timeline, lsn_of(lsn))


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
