"""Statements worth a look: slow ones, with the plan they were run by, and those that a loop repeats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from seawall.core import Clock, Events
from seawall.database.events import RepeatedStatement, SlowStatement
from seawall.database.node import Node
from seawall.database.origin import origin
from seawall.database.routing import Caller
from seawall.database.statements import StatementClass, fingerprint, normalize

QUIET = 600.0
"""Seconds in which the same statement is reported once."""
MOST = 1_000
"""Statements remembered for that."""
BETWEEN = 1.0
"""Seconds between two plans, at least."""
PLAN_TIMEOUT = 5.0
"""Seconds a plan may take; with ANALYZE the query is run once more for it."""
_CONDITIONS = ("Cond", "Filter", "Key", "Output", "Function Call", "Group", "Merge")


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
        self, statement: str, kind: StatementClass, node: Node, seconds: float, rows: int, parameters: Any
    ) -> None:
        """`statement` has taken `seconds` on `node`."""
        if not self._events.listeners or not self._first(("slow", fingerprint(statement))):
            return
        where, now = origin(), self._clock.monotonic()

        def report(plan: Any) -> None:
            self._events.emit(
                SlowStatement(
                    database=self.database,
                    node=node.name,
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
        task = asyncio.get_running_loop().create_task(
            self._explain(statement, kind is StatementClass.READ, node, tuple(parameters or ()), report)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End the plans under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _explain(
        self, statement: str, analyze: bool, node: Node, parameters: Sequence[Any], report: Callable[[Any], None]
    ) -> None:
        plan = None
        for options in ("ANALYZE, BUFFERS, ", "") if analyze else ("",):
            try:
                async with node.lent() as connection:
                    await connection.execute(
                        f"BEGIN READ ONLY; SET LOCAL statement_timeout = {PLAN_TIMEOUT * 1000:.0f}"
                    )
                    [[text]] = await connection.fetch(f"EXPLAIN ({options}FORMAT JSON) {statement}", *parameters)
                    plan = without_values(json.loads(text))
                    break
            except Exception:  # noqa: BLE001, S112 - a plan is a help; where there is none, the time is told
                continue
        report(plan)

    def _first(self, what: Any) -> bool:
        now = self._clock.monotonic()
        before = self._reported.get(what)
        if before is not None and now - before < QUIET:
            return False
        if len(self._reported) >= MOST:
            self._reported.clear()
        self._reported[what] = now
        return True


def without_values(plan: Any) -> Any:
    """`plan` with every value in its conditions left out."""
    if isinstance(plan, list):
        return [without_values(item) for item in plan]
    if not isinstance(plan, dict):
        return plan
    return {key: _masked(value) if key.endswith(_CONDITIONS) else without_values(value) for key, value in plan.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return normalize(f"SELECT {value}").removeprefix("SELECT ") if isinstance(value, str) else value
