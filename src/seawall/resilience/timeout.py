"""Timeout: bounds a call, and opens a deadline for all that is called in it."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, Task, TimerHandle, get_running_loop
from dataclasses import dataclass
from typing import Any

from seawall.core import Clock, Events, deadline
from seawall.core.expiry import TASKS, Expiries, Occupied
from seawall.core.options import number
from seawall.resilience import events as facts
from seawall.resilience.errors import CallTimeoutError, DeadlineExceededError, mark_late
from seawall.resilience.policy import Policy
from seawall.resilience.weave import Face, Fragment


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeoutStatistics:
    """`timed_out`: cut by the timeout; `cut_by_deadline`: cut by the caller's; `running`: under way now."""

    name: str
    seconds: float
    timed_out: int
    cut_by_deadline: int
    running: int


class Timeout(Policy):
    """Cuts a call after `seconds`, or at the caller's deadline if that comes first.

    Outside a Retry it bounds all attempts together, inside it each one. The time is also the deadline
    (`seawall.core.deadline`) of everything beneath: nested calls, queries and outgoing requests obey it.

    An `async def` is cancelled and `CallTimeoutError` raised; a cancellation from outside stays one. In a
    stream each wait for an item is bounded, the consumer's own time is not. A `def` can't be interrupted: it
    runs under the deadline, which Seawall's adapters hand to sockets, and its result is returned even when late. An
    error of its own that comes after the caller's deadline gets that as its `missed_deadline`: a breaker outside
    counts it as it does a call that was cut.

    Raises `CallTimeoutError` (a `TimeoutError`), and `DeadlineExceededError` in place of a call whose
    deadline has passed. What it costs is in `bench/`; why that is little, in
    `seawall.core.expiry`.
    """

    def __init__(
        self, seconds: float, name: str | None = None, *, clock: Clock | None = None, events: Events | None = None
    ) -> None:
        super().__init__(name, clock, events)
        number("Timeout", "seconds", seconds, above=0)
        self.seconds = seconds
        self._tables: dict[asyncio.AbstractEventLoop, Expiries] = {}
        self.expiries = Expiries(None, self.clock.monotonic)
        self._timed_out = 0
        self._cut_by_deadline = 0
        self.scopes = 0

    def statistics(self) -> TimeoutStatistics:
        """A frozen picture of this moment."""
        return TimeoutStatistics(
            name=self.name,
            seconds=self.seconds,
            timed_out=self._timed_out,
            cut_by_deadline=self._cut_by_deadline,
            running=self.scopes + sum(len(table.calls) for table in list(self._tables.values())),
        )

    def use_clock(self, clock: Clock) -> None:
        """Measure by `clock` from now on; before the first call."""
        super().use_clock(clock)
        self._tables.clear()
        self.expiries = Expiries(None, clock.monotonic)

    def fragment(self, face: Face) -> Fragment:
        """Inline for a coroutine; by a scope for generators and blocks."""
        bound = {
            "timeout": self,
            "seconds": self.seconds,
            "clock": self.clock.monotonic,
            "current": deadline.current.get,
            "set": deadline.current.set,
            "reset": deadline.current.reset,
            "tasks": TASKS,
            "task_of": asyncio.current_task,
            "loop_of": get_running_loop,
            "scope_of": AsyncScope if face.awaits else BlockingScope,
        }
        if face == Face("call", True):
            return Fragment(_TEMPLATE, bound)
        return Fragment(_SCOPE_TEMPLATE, bound, suspend="$scope.leave(None)", resume="$scope.enter()")

    def table(self, loop: asyncio.AbstractEventLoop) -> Expiries:
        """The table of `loop`, which becomes the one that calls look at first."""
        table = self._tables.get(loop)
        if table is None:
            # A table would keep its loop alive after it was closed.
            for other in list(self._tables):
                if other.is_closed():
                    self._tables.pop(other, None)
            table = self._tables[loop] = Expiries(loop, self.clock.monotonic)
            if getattr(loop, "clock", self.clock) is not self.clock:
                # A loop on virtual time, of which this clock knows nothing: each call gets a timer of the loop's.
                table.calls = Occupied()
        self.expiries = table
        return table

    def expired(self, error: BaseException | None) -> None:
        """The running task's call was cut: raise `CallTimeoutError`, unless someone else wants it cancelled too."""
        if _uncancel() <= 0 and isinstance(error, CancelledError):
            raise self.error(self.seconds, "timeout") from error

    def error(self, seconds: float, cut_by: str) -> CallTimeoutError:
        """Count and report a cut; returns the error to raise."""
        if cut_by == "timeout":
            self._timed_out += 1
        else:
            self._cut_by_deadline += 1
        if self.events.listeners:
            self.events.emit(facts.CallTimedOut(policy=self.name, seconds=seconds, cut_by=cut_by))
        return CallTimeoutError(self.name, seconds, cut_by)

    def refuse(self, overdue: float) -> None:
        """Raise `DeadlineExceededError`."""
        if self.events.listeners:
            self.events.emit(facts.CallRejected(policy=self.name, reason=DeadlineExceededError.code))
        raise DeadlineExceededError(self.name, overdue)

    def __repr__(self) -> str:
        return f"Timeout({self.seconds:g})"


class Scope:
    """One entry into a timeout, for whatever is not a plain coroutine call. Opens the deadline."""

    __slots__ = ("_at", "_by_deadline", "_inside", "_outer", "_start", "_timeout")

    def __init__(self, timeout: Timeout) -> None:
        self._timeout = timeout
        self._inside = False
        self.enter()

    def enter(self) -> None:
        """Begin to measure. Refuses when the caller's deadline has passed."""
        timeout = self._timeout
        self._start = now = timeout.clock.monotonic()
        self._outer = outer = deadline.current.get()
        self._at = now + timeout.seconds
        self._by_deadline = outer < self._at
        if self._by_deadline:
            self._at = outer
            if outer <= now:
                timeout.refuse(now - outer)
        deadline.current.set(self._at)
        self._inside = True
        timeout.scopes += 1

    def leave(self, error: BaseException | None) -> None:
        """Stop measuring; nothing where a stream is closed while its consumer has an item."""
        if self._inside:
            self._inside = False
            self._timeout.scopes -= 1
            # Not by token: a generator may be left in another context than it was entered in.
            deadline.current.set(self._outer)
            if self._by_deadline and isinstance(error, Exception) and self._timeout.clock.monotonic() >= self._at:
                mark_late(error, self._at)

    def _error(self) -> CallTimeoutError:
        timeout = self._timeout
        if self._by_deadline:
            return timeout.error(timeout.clock.monotonic() - self._start, "deadline")
        return timeout.error(timeout.seconds, "timeout")


class BlockingScope(Scope):
    """A `def` under a timeout: the deadline is there for it to obey."""

    __slots__ = ()


class AsyncScope(Scope):
    """Cancels the task that entered, by a timer of its own. Entered and left any number of times."""

    __slots__ = ("_cancelling", "_cut", "_handle")

    def enter(self) -> None:
        """Begin to measure, in the task that runs now."""
        task = asyncio.current_task()
        if task is None:
            message = f"{self._timeout!r} needs a task to cancel; run it in one (asyncio.run, create_task)"
            raise RuntimeError(message)
        super().enter()
        self._cancelling = task.cancelling()
        self._cut = False
        delay = max(0.0, self._at - self._start)
        self._handle: TimerHandle = get_running_loop().call_later(delay, self._cancel, task)

    def leave(self, error: BaseException | None) -> None:
        """Stop measuring; raises `CallTimeoutError` if the time was over."""
        super().leave(error)
        self._handle.cancel()
        if self._cut:
            self._cut = False
            if _uncancel() <= self._cancelling and isinstance(error, CancelledError):
                raise self._error() from error

    def _cancel(self, task: Task[Any]) -> None:
        self._cut = True
        task.cancel()


def _uncancel() -> int:
    """Take one cancellation of the running task back; returns how many are left."""
    task = asyncio.current_task()
    return 0 if task is None else task.uncancel()


_TEMPLATE = """
$expires = $clock() + $seconds
$loop = $loop_of()
$task = {task}
$table = $timeout.expiries
if $table.loop is not $loop:
    $table = $timeout.table($loop)
$calls = $table.calls
if $current() < $expires or $task in $calls or $task.cancelling():
    $token = None
    $scope = $scope_of($timeout)
else:
    $calls[$task] = $expires
    if not $table.armed:
        $table.arm($seconds)
    $token = $set($expires)
try:
    $inner
except BaseException as $error:
    $cut = $token is not None and $calls.pop($task, None) is None
    # A task that failed holds this frame; if the frame held the task, only the collector could free them.
    $task = None
    if $token is None:
        $scope.leave($error)
    else:
        $reset($token)
        if $cut:
            $timeout.expired($error)
    raise
if $token is None:
    $scope.leave(None)
else:
    $reset($token)
    try:
        del $calls[$task]
    except KeyError:
        $timeout.expired(None)
"""

_TEMPLATE = _TEMPLATE.replace("{task}", "$task_of($loop)" if TASKS is None else "$tasks[$loop]")

_SCOPE_TEMPLATE = """
$scope = $scope_of($timeout)
try:
    $inner
except BaseException as $error:
    $scope.leave($error)
    raise
$scope.leave(None)
"""
