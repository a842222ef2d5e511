"""Bulkhead: bounds how many calls run at once, so that one slow dependency can't take every worker."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Clock, Events, deadline
from seawall.core.options import number
from seawall.resilience import events as facts
from seawall.resilience.errors import BulkheadFullError
from seawall.resilience.permits import Permits, TaskWaiter, ThreadWaiter
from seawall.resilience.policy import FREE_THREADED, Policy
from seawall.resilience.weave import Face, Fragment


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkheadStatistics:
    """`running` and `waiting` now; `rejected` since it was made."""

    name: str
    max_concurrent: int
    max_waiting: int
    running: int
    waiting: int
    rejected: int


class Bulkhead(Policy):
    """Lets `max_concurrent` calls run and `max_waiting` wait, each at most `max_wait` seconds; refuses the rest.

    Those who wait are served in order. The wait never outlasts the caller's deadline. A cancelled waiter
    leaves the queue at once, and a permit on its way to it goes to the next.

    Raises `BulkheadFullError` in place of the call.
    """

    def __init__(
        self,
        max_concurrent: int,
        *,
        max_waiting: int = 0,
        max_wait: float | None = None,
        name: str | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        number("Bulkhead", "max_concurrent", max_concurrent, at_least=1, integer=True)
        number("Bulkhead", "max_waiting", max_waiting, at_least=0, integer=True)
        if max_wait is not None:
            number("Bulkhead", "max_wait", max_wait, at_least=0)
        self.permits = Permits(max_concurrent, max_waiting)
        self._max_wait = max_wait
        self._rejected = 0

    def statistics(self) -> BulkheadStatistics:
        """A frozen picture of this moment."""
        permits = self.permits
        return BulkheadStatistics(
            name=self.name,
            max_concurrent=permits.limit,
            max_waiting=permits.max_waiting,
            running=permits.in_use,
            waiting=permits.waiting,
            rejected=self._rejected,
        )

    def fragment(self, face: Face) -> Fragment:
        """A free permit is taken in place; only a full bulkhead costs a call."""
        return Fragment(
            _LOCKED_TEMPLATE if FREE_THREADED else _TEMPLATE,
            {
                "permits": self.permits,
                "release": self.permits.release,
                "wait": self._wait if face.awaits else self._wait_blocking,
            },
        )

    async def _wait(self) -> None:
        waiter = TaskWaiter()
        granted = self.permits.enter(waiter)
        if granted is None:
            seconds = deadline.bounded(self._max_wait, clock=self.clock)
            granted = await waiter.wait(self.permits, seconds)
            if granted is None:
                self._refuse(seconds)
        if not granted:
            self._refuse(None)

    def _wait_blocking(self) -> None:
        waiter = ThreadWaiter()
        granted = self.permits.enter(waiter)
        if granted is None:
            seconds = deadline.bounded(self._max_wait, clock=self.clock)
            granted = waiter.wait(self.permits, seconds)
            if granted is None:
                self._refuse(seconds)
        if not granted:
            self._refuse(None)

    def _refuse(self, waited: float | None) -> None:
        self._rejected += 1
        if self.events.listeners:
            self.events.emit(facts.CallRejected(policy=self.name, reason=BulkheadFullError.code))
        raise BulkheadFullError(self.name, self.permits.limit, self.permits.max_waiting, waited)

    def __repr__(self) -> str:
        waiting = f", max_waiting={self.permits.max_waiting}" if self.permits.max_waiting else ""
        return f"Bulkhead({self.permits.limit}{waiting})"


_TEMPLATE = """
if $permits.in_use < $permits.limit:
    $permits.in_use += 1
else:
    $await $wait()
try:
    $inner
finally:
    if $permits.waiting:
        $release()
    else:
        $permits.in_use -= 1
"""

_LOCKED_TEMPLATE = """
$await $wait()
try:
    $inner
finally:
    $release()
"""
