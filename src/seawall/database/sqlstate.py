"""What an error says of what happened: the server's code, or the loss of the connection."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import asyncpg

READ_ONLY = "25006"
RECOVERY_CONFLICTS = frozenset({"40001", "40P01", "57P01", "57P02", "57P03"})
"""What a standby says whose replay, or restart, got in the way of a query."""
SERIALIZATION_FAILURES = frozenset({"40001", "40P01"})
"""The transaction is undone because of others, and may be made again."""
TOO_MANY_CONNECTIONS = "53300"
_ARGUMENT = re.compile(r"(query argument \$\d+): .* \((.*?)\)", re.DOTALL)
# The last: the driver has lost the thread, for one when the server said goodbye between two statements.
_GONE = (OSError, asyncpg.ConnectionDoesNotExistError, asyncpg.InternalClientError)
_LOST = (*_GONE, asyncpg.InterfaceError, asyncpg.PostgresConnectionError)


def _chain(error: BaseException | None) -> list[BaseException]:
    """`error` and what caused it; the code is often on a link further down."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        # What was being handled when it was raised is another matter, but for the driver's own errors.
        own = type(error).__module__.startswith("asyncpg")
        error = error.__cause__ or (error.__context__ if own else None)
    return found


def state_of(error: BaseException) -> str | None:
    """The SQLSTATE of `error`, None if no server said one."""
    return next((state for link in _chain(error) if (state := getattr(link, "sqlstate", None)) is not None), None)


def has_state(error: BaseException, states: Collection[str]) -> bool:
    """Whether `error`, or what caused it, has one of `states`."""
    return any(getattr(link, "sqlstate", None) in states for link in _chain(error))


def is_lost(error: BaseException, adapted: Any) -> bool:
    """Whether the connection is gone. adapted: SQLAlchemy's connection."""
    if adapted is not None and adapted._connection.is_closed():
        return True
    return any(isinstance(link, _GONE) for link in _chain(error))


def is_stale(error: BaseException) -> bool:
    """Whether what was prepared can't be run any more because its table has other columns now; nothing was done."""
    return any(isinstance(link, asyncpg.InvalidCachedStatementError) for link in _chain(error))


def is_away(error: BaseException) -> bool:
    """Whether another server, or this one a moment later, may do."""
    if any(isinstance(link, _LOST) for link in _chain(error)):
        return True
    return has_state(error, RECOVERY_CONFLICTS | {TOO_MANY_CONNECTIONS})


def hide_values(error: BaseException) -> None:
    """Take the value out of asyncpg's word on a parameter that it can't encode."""
    for link in _chain(error):
        if link.args and isinstance(link.args[0], str) and "query argument $" in link.args[0]:
            link.args = (_ARGUMENT.sub(r"\1 (\2)", link.args[0]), *link.args[1:])


def brief(error: BaseException) -> str:
    """Its first line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
