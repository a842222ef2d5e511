"""AdaptiveLimit: finds by itself how many calls a dependency can take at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from seawall.core import Clock, Events, deadline
from seawall.core.errors import OptionError
from seawall.core.options import number
from seawall.resilience import events as facts
from seawall.resilience.errors import LimitExceededError, RejectedError, cut_by_caller
from seawall.resilience.limits import Gradient2, LimitAlgorithm
from seawall.resilience.permits import Permits, TaskWaiter, ThreadWaiter
from seawall.resilience.policy import Policy
from seawall.resilience.weave import Face, Fragment


class Priority(IntEnum):
    """Who goes first in a queue, and who is turned away last."""

    LOW = -10
    NORMAL = 0
    HIGH = 10


_priority: ContextVar[int] = ContextVar("seawall_priority", default=Priority.NORMAL)


@contextmanager
def priority(value: int) -> Iterator[None]:
    """Give the calls in this block, and in tasks begun there, a priority in the queues they meet."""
    token = _priority.set(value)
    try:
        yield
    finally:
        _priority.reset(token)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveLimitStatistics:
    """`limit`, `running` and `waiting` now; `rejected` since it was made."""

    name: str
    limit: int
    max_waiting: int
    running: int
    waiting: int
    rejected: int


class AdaptiveLimit(Policy):
    """A bulkhead whose size follows what the dependency can take.

    algorithm: `Gradient2` (default), `Vegas` or `AIMD`, or your own `LimitAlgorithm`.
    max_waiting, max_wait: the queue; higher `priority` goes first, and takes the last place of a lower one
        when the queue is full.

    Calls that were cut (any `TimeoutError`) count as dropped. Other errors say nothing about load and are not
    sampled; nor are cancelled calls, and those cut by the caller's own deadline. Stand it inside a Retry: the
    time it measures must be that of one attempt.

    Raises `LimitExceededError` in place of the call.
    """

    def __init__(
        self,
        algorithm: LimitAlgorithm | None = None,
        *,
        max_waiting: int = 0,
        max_wait: float | None = None,
        name: str | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        self.algorithm: LimitAlgorithm = Gradient2() if algorithm is None else algorithm
        if not hasattr(self.algorithm, "sample"):
            raise OptionError("AdaptiveLimit", "algorithm", algorithm, "Gradient2(), Vegas(), AIMD() or your own")
        number("AdaptiveLimit", "max_waiting", max_waiting, at_least=0, integer=True)
        if max_wait is not None:
            number("AdaptiveLimit", "max_wait", max_wait, at_least=0)
        self.permits = Permits(max(1, int(self.algorithm.limit)), max_waiting)
        self._max_wait = max_wait
        self._lock = threading.Lock()
        self._rejected = 0

    def statistics(self) -> AdaptiveLimitStatistics:
        """A frozen picture of this moment."""
        permits = self.permits
        return AdaptiveLimitStatistics(
            name=self.name,
            limit=permits.limit,
            max_waiting=permits.max_waiting,
            running=permits.in_use,
            waiting=permits.waiting,
            rejected=self._rejected,
        )

    def admit(self) -> Callable[[bool], None]:
        """A permit taken by hand, at once: for what is no call, such as a request that is served.

        Returns what gives it back; call that once, with whether the work was cut for taking too long. Raises
        `LimitExceededError` where none is free.
        """
        waiter = TaskWaiter()
        granted = self.permits.enter(waiter, _priority.get())
        if not granted:
            if granted is None:
                self.permits.leave(waiter)
            self._refuse("full")
        start, running = self.clock.monotonic(), self.permits.in_use

        def release(dropped: bool) -> None:
            try:
                self._sample(self.clock.monotonic() - start, running, dropped=dropped)
            finally:
                self.permits.release()
                self.permits.grant()

        return release

    def fragment(self, face: Face) -> Fragment:
        """A permit and a sample for each call."""
        return Fragment(
            _TEMPLATE,
            {
                "permits": self.permits,
                "clock": self.clock.monotonic,
                "enter": self._enter if face.awaits else self._enter_blocking,
                "leave": self._leave,
            },
        )

    async def _enter(self) -> None:
        waiter = TaskWaiter()
        granted = self.permits.enter(waiter, _priority.get())
        if granted is None:
            granted = await waiter.wait(self.permits, deadline.bounded(self._max_wait, clock=self.clock))
            if not granted:
                self._refuse("evicted" if granted is False else "waited")
        elif not granted:
            self._refuse("full")

    def _enter_blocking(self) -> None:
        waiter = ThreadWaiter()
        granted = self.permits.enter(waiter, _priority.get())
        if granted is None:
            granted = waiter.wait(self.permits, deadline.bounded(self._max_wait, clock=self.clock))
            if not granted:
                self._refuse("evicted" if granted is False else "waited")
        elif not granted:
            self._refuse("full")

    def _leave(self, error: BaseException | None, start: float, running: int) -> None:
        dropped = isinstance(error, TimeoutError) and not isinstance(error, RejectedError) and not cut_by_caller(error)
        try:
            if error is None or dropped:
                self._sample(self.clock.monotonic() - start, running, dropped=dropped)
        finally:
            self.permits.release()
            self.permits.grant()  # the limit may have grown by more than this one

    def _sample(self, seconds: float, running: int, *, dropped: bool) -> None:
        with self._lock:
            old = self.permits.limit
            new = self.permits.limit = max(1, int(self.algorithm.sample(seconds, running, dropped=dropped)))
        if new != old and self.events.listeners:
            self.events.emit(facts.LimitChanged(policy=self.name, old=old, new=new))

    def _refuse(self, reason: str) -> None:
        self._rejected += 1
        if self.events.listeners:
            self.events.emit(facts.CallRejected(policy=self.name, reason=LimitExceededError.code))
        raise LimitExceededError(self.name, self.permits.limit, self.permits.max_waiting, reason)

    def __repr__(self) -> str:
        return f"AdaptiveLimit({self.algorithm!r})"


_TEMPLATE = """
$await $enter()
$start = $clock()
$running = $permits.in_use
try:
    $inner
except BaseException as $error:
    $leave($error, $start, $running)
    raise
$leave(None, $start, $running)
"""
