"""A function that is a transaction, and is run again when others were in its way."""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from seawall.core import Clock, deadline
from seawall.core.options import number
from seawall.database.errors import CommitUnknownError, DatabaseUnavailableError
from seawall.database.sqlstate import SERIALIZATION_FAILURES, has_state

P = ParamSpec("P")
R = TypeVar("R")
FIRST_DELAY, LONGEST_DELAY = 0.005, 0.5
"""Seconds before the second attempt, at most; twice as many before each further one, up to the longest."""


def transactional(
    open_session: Callable[[], AsyncSession], *, attempts: int, clock: Clock
) -> Callable[[Callable[Concatenate[AsyncSession, P], Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """See `Database.transaction`."""
    number("Database.transaction", "attempts", attempts, at_least=1, integer=True)

    def decorate(function: Callable[Concatenate[AsyncSession, P], Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        async def once(*args: P.args, **kwargs: P.kwargs) -> R:
            async with open_session() as session, session.begin():
                return await function(session, *args, **kwargs)

        @functools.wraps(function)
        async def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(1, attempts):
                try:
                    return await once(*args, **kwargs)
                except Exception as error:
                    pause = random.uniform(0.0, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))
                    if not _may_repeat(error) or _too_late(pause, clock):
                        raise
                await asyncio.sleep(pause)
            return await once(*args, **kwargs)

        # Called without the session, which it gets from here.
        repeated.__signature__ = _without_first(function)  # type: ignore[attr-defined]
        return repeated

    return decorate


def _may_repeat(error: BaseException) -> bool:
    """Whether nothing of the transaction is left. A commit nobody knows of is no such case."""
    if isinstance(error, CommitUnknownError):
        return False
    return isinstance(error, DatabaseUnavailableError) or has_state(error, SERIALIZATION_FAILURES)


def _too_late(pause: float, clock: Clock) -> bool:
    left = deadline.remaining(clock=clock)
    return left is not None and left <= pause


def _without_first(function: Callable[..., Any]) -> Any:
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[1:])
