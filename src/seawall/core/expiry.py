"""Cuts tasks that take too long: one loop timer serves all calls of one timeout.

Calls of one duration expire in the order they began. So a table in that order needs a timer for its head
only, which wakes once per duration, not once per call; `asyncio.timeout` makes and cancels a timer each time.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable
from typing import Any

# 3.12 has current_task in C; in 3.11 it is a Python function around this dictionary, keyed by loop.
TASKS: dict[AbstractEventLoop, Task[Any]] | None = (
    None if sys.version_info >= (3, 12) else asyncio.tasks._current_tasks  # type: ignore[attr-defined]
)

_SLACK = 0.0005


class Occupied(dict[Task[Any], float]):
    """A table that has a call of every task already, so that none is put into it."""

    def __contains__(self, task: object) -> bool:
        return True


class Expiries:
    """The calls under way in one event loop (None: not used in any yet), by task, in the order in which they expire.

    `calls[task]` is the time at which that task's call expires. A call that ends removes its entry; an
    entry that is gone was cut. In place of a task, it may be something else that can be cancelled. clock: tells the
    time that is meant.
    """

    __slots__ = ("armed", "calls", "clock", "loop")

    def __init__(self, loop: AbstractEventLoop | None, clock: Callable[[], float]) -> None:
        self.loop = loop
        self.calls: dict[Any, float] = {}
        self.armed = False
        self.clock = clock

    def arm(self, seconds: float) -> None:
        """Look after the head of the table in `seconds`."""
        assert self.loop is not None  # noqa: S101 - calls come from a loop
        self.armed = True
        self.loop.call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self.armed = False
        now = self.clock()
        over: list[Any] = []
        for task, expires in self.calls.items():
            # A loop may wake a little early, and the same moment reckoned twice may differ by a rounding.
            if expires - now > _SLACK:
                self.arm(expires - now)
                break
            over.append(task)
        for task in over:
            del self.calls[task]
            task.cancel()
