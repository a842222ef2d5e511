"""Statements worth a look: slow ones, with the plan they were run by, and those that a loop repeats."""

from __future__ import annotations

import asyncio
from typing import Any

from seawall.core import Clock, Events
from seawall.database.events import RepeatedStatement, SlowStatement
from seawall.database.origin import origin
from seawall.database.plans import Server, plan_of
from seawall.database.routing import Caller
from seawall.database.statements import StatementClass, fingerprint, normalize

QUIET = 600.0
"""Seconds in which the same statement is reported once."""
MOST = 1_000
"""Statements remembered for that."""
BETWEEN = 1.0
"""Seconds between two plans, at least."""


class Watch:
    """Reports what is slow and what is repeated, each once in a while.

    slow_after: seconds. repeats: how often one caller may run the same read before it counts as a loop.
    """

    def __init__(
        self, database: str, events: Events, clock: Clock, *, slow_after: float, repeats: int, plans: bool
    ) -> None:
        self.database = database
        self.slow_after = slow_after
        self.repeats = repeats
        self.plans = plans
        self._events = events
        self._clock = clock
        self._reported: dict[Any, float] = {}
        self._planned = -BETWEEN
        self._tasks: set[asyncio.Task[None]] = set()

    def repeated(self, caller: Caller, statement: str) -> None:
        """`caller` has run the read `statement` once more."""
        counts = caller.reads
        if counts is None:
            return
        count = counts[statement] = counts.get(statement, 0) + 1
        if count == self.repeats and self._events.listeners:
            where = origin()
            if self._first(("repeated", statement, where)):
                self._events.emit(
                    RepeatedStatement(
                        database=self.database, node="", statement=normalize(statement), count=count, origin=where
                    )
                )

    def slow(
        self, statement: str, kind: StatementClass, server: Server, seconds: float, rows: int, parameters: Any
    ) -> None:
        """`statement` has taken `seconds` on `server`."""
        if not self._events.listeners or not self._first(("slow", fingerprint(statement))):
            return
        where, now = origin(), self._clock.monotonic()

        def report(plan: Any) -> None:
            self._events.emit(
                SlowStatement(
                    database=self.database,
                    node=server.name,
                    statement=normalize(statement),
                    seconds=seconds,
                    rows=rows,
                    origin=where,
                    plan=plan,
                )
            )

        if not self.plans or now - self._planned < BETWEEN or isinstance(parameters, list):
            report(None)
            return
        self._planned = now

        async def explain() -> None:
            read = kind is StatementClass.READ
            report(await plan_of(server, statement, tuple(parameters or ()), analyze=read))

        task = asyncio.get_running_loop().create_task(explain())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End the plans under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _first(self, what: Any) -> bool:
        now = self._clock.monotonic()
        before = self._reported.get(what)
        if before is not None and now - before < QUIET:
            return False
        if len(self._reported) >= MOST:
            self._reported.clear()
        self._reported[what] = now
        return True
