"""Sliding windows over the outcomes of calls.

A success that was neither failed nor slow is one increment of `passed`, done by the caller in place;
only failed and slow calls store anything. So a window costs a healthy service next to nothing. Points in
time are float seconds, but a bucket is known by its whole number: edges added up as floats would drift.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol


class Totals(NamedTuple):
    """What a window holds now: calls in it, and how many of those failed or were slow."""

    calls: int
    failed: int
    slow: int


class Window(Protocol):
    """The outcomes that a breaker judges by.

    `edge` is the time from which `roll(now)` must be called before `passed` is touched; a window without
    a time of its own has an edge that never comes. `flight` and its current `generation` count the calls
    under way, where slow calls matter.
    """

    passed: int
    edge: float
    flight: InFlight | None
    generation: Generation

    def roll(self, now: float) -> None:
        """Move on to `now`."""
        ...

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add a call that failed, was slow, or both."""
        ...

    def totals(self, now: float) -> Totals:
        """What the window holds at `now`."""
        ...

    def resize(self, size: float, now: float) -> None:
        """Change the size (calls, or seconds) and keep what fits."""
        ...


NEVER = float("inf")


class Generation:
    """Calls that began at about the same time and are still under way.

    edge: from then on a new one begins. check_at: a call that ends before then was not slow, and its window's
    bucket is not over; one comparison tells both. passed: the window's count when this generation began.
    """

    __slots__ = ("calls", "check_at", "edge", "passed")

    def __init__(self, edge: float, check_at: float, passed: int = 0) -> None:
        self.calls = 0
        self.edge = edge
        self.check_at = check_at
        self.passed = passed


NOWHERE = Generation(NEVER, -NEVER)
"""Where calls are counted that nobody watches: trials, and windows without a slow-call duration."""


class InFlight:
    """Counts the calls under way that are slow already, without a record for each call.

    A call increments the current generation when it begins and decrements that same one when it ends. A
    generation lasts an eighth of the slow-call duration, so a call is seen as slow at most that much late.
    """

    __slots__ = ("_older", "current", "slow")

    def __init__(self, slow: float, now: float, window_edge: float) -> None:
        self.slow = slow
        self._older: list[Generation] = []
        self.current = self._begin(now, window_edge, 0)

    def advance(self, now: float, window_edge: float, passed: int = 0) -> Generation:
        """Begin a new generation if the current one is over; returns the current one."""
        if now >= self.current.edge:
            self._older = [generation for generation in (*self._older, self.current) if generation.calls]
            self.current = self._begin(now, window_edge, passed)
        else:
            self.current.check_at = min(window_edge, self.current.edge + self.slow * 7 / 8)
        return self.current

    def resize(self, slow: float, now: float, window_edge: float) -> Generation:
        """Judge by another duration, and another bucket, from now on; returns the current generation."""
        self.slow = slow
        self._older = [generation for generation in (*self._older, self.current) if generation.calls]
        for generation in self._older:
            generation.edge = min(generation.edge, now)
            generation.check_at = -NEVER
        self.current = self._begin(now, window_edge, self.current.passed)
        return self.current

    def hung(self, now: float, passed: int | None = None) -> int:
        """How many calls have been under way for the slow-call duration or longer.

        With `passed`, the window's count now: only those since whose beginning no call has passed.
        """
        began_before = now - self.slow
        return sum(
            generation.calls
            for generation in (*self._older, self.current)
            if generation.edge <= began_before and (passed is None or generation.passed == passed)
        )

    def _begin(self, now: float, window_edge: float, passed: int) -> Generation:
        return Generation(now + self.slow / 8, min(window_edge, now + self.slow), passed)


class CountWindow:
    """The last `size` calls. Failed and slow calls are remembered by their number."""

    __slots__ = ("_failed", "_slow", "edge", "flight", "generation", "passed", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.passed = 0  # every call: a failed one is counted here too, which numbers it
        self.edge = NEVER
        self.flight: InFlight | None = None
        self.generation = NOWHERE
        self._failed: deque[int] = deque()
        self._slow: deque[int] = deque()

    def roll(self, now: float) -> None:
        """Nothing: this window moves with calls, not with time."""

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add a call that failed, was slow, or both."""
        self.passed = number = self.passed + 1
        if failed:
            self._failed.append(number)
        if slow:
            self._slow.append(number)
        self._forget()

    def totals(self, now: float) -> Totals:
        """The calls among the last `size`."""
        self._forget()
        return Totals(min(self.passed, self.size), len(self._failed), len(self._slow))

    def resize(self, size: float, now: float) -> None:
        """Look at the last `size` calls from now on. A larger window fills up as calls come."""
        if size > self.size:
            # What fell out of the smaller window is gone: let numbering start where that one began.
            self._forget()
            fallen = max(0, self.passed - self.size)
            self.passed -= fallen
            self._failed = deque(number - fallen for number in self._failed)
            self._slow = deque(number - fallen for number in self._slow)
        self.size = int(size)

    def _forget(self) -> None:
        oldest = self.passed - self.size
        for numbers in (self._failed, self._slow):
            while numbers and numbers[0] <= oldest:
                numbers.popleft()


class TimeWindow:
    """The last `span` seconds in ten buckets. `passed` counts in the current bucket.

    Bucket number k holds the time from k * width to (k + 1) * width. The window is the current bucket and
    the nine before it, so it looks back between nine and ten tenths of the span.
    """

    BUCKETS = 10

    __slots__ = (
        "_failed",
        "_number",
        "_older",
        "_ring",
        "_slow",
        "_width",
        "edge",
        "flight",
        "generation",
        "passed",
    )

    def __init__(self, span: float, now: float) -> None:
        self._width = span / self.BUCKETS
        self._number = self._number_at(now)
        self.edge = (self._number + 1) * self._width
        self.flight: InFlight | None = None
        self.generation = NOWHERE
        self.passed = 0
        self._failed = 0
        self._slow = 0
        self._older = Totals(0, 0, 0)
        self._ring = [Totals(0, 0, 0)] * self.BUCKETS

    def roll(self, now: float) -> None:
        """Close the current bucket, and every empty one up to `now`."""
        if now < self.edge:
            return
        number = self._number_at(now)
        steps = number - self._number
        if steps >= self.BUCKETS:
            self._ring = [Totals(0, 0, 0)] * self.BUCKETS
            self._older = Totals(0, 0, 0)
            self.passed = 0
        else:
            # In one step: another thread may count a call at any moment.
            passed, self.passed = self.passed, 0
            calls, failed, slow = self._older
            calls, failed, slow = calls + passed, failed + self._failed, slow + self._slow
            self._ring[self._number % self.BUCKETS] = Totals(passed, self._failed, self._slow)
            for leaving in range(self._number + 1, number + 1):
                gone = self._ring[leaving % self.BUCKETS]
                self._ring[leaving % self.BUCKETS] = Totals(0, 0, 0)
                calls, failed, slow = calls - gone.calls, failed - gone.failed, slow - gone.slow
            self._older = Totals(calls, failed, slow)
        self._failed = self._slow = 0
        self._number = number
        self.edge = (number + 1) * self._width

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add a call that failed, was slow, or both."""
        self.roll(now)
        self.passed += 1
        self._failed += failed
        self._slow += slow

    def totals(self, now: float) -> Totals:
        """The calls in the buckets that lie within the span."""
        self.roll(now)
        calls, failed, slow = self._older
        return Totals(calls + self.passed, failed + self._failed, slow + self._slow)

    def resize(self, size: float, now: float) -> None:
        """Span `size` seconds; the buckets filled so far keep their order and take the new width."""
        self.roll(now)
        ring = [self._ring[(self._number + offset) % self.BUCKETS] for offset in range(self.BUCKETS)]
        self._width = size / self.BUCKETS
        self._number = self._number_at(now)
        self.edge = (self._number + 1) * self._width
        self._ring = [ring[(place - self._number) % self.BUCKETS] for place in range(self.BUCKETS)]

    def _number_at(self, now: float) -> int:
        number = int(now / self._width)
        if number * self._width > now:
            return number - 1
        return number + 1 if (number + 1) * self._width <= now else number


class ConsecutiveWindow:
    """Failed or slow calls in a row: any call that passed in between starts the row anew."""

    __slots__ = ("_mark", "_row", "edge", "flight", "generation", "passed")

    def __init__(self) -> None:
        self.passed = 0
        self.edge = NEVER
        self.flight: InFlight | None = None
        self.generation = NOWHERE
        self._mark = 0
        self._row = 0

    def roll(self, now: float) -> None:
        """Nothing: this window moves with calls, not with time."""

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Lengthen the row, or begin one if a call passed since the last record."""
        passed = self.passed  # once: another thread may count a call at any moment
        self._row = self._row + 1 if passed == self._mark else 1
        self._mark = passed

    def totals(self, now: float) -> Totals:
        """The row: `calls` and `failed` are its length."""
        row = self._row if self.passed == self._mark else 0
        return Totals(row, row, 0)

    def resize(self, size: float, now: float) -> None:
        """Nothing: a row has no size."""
