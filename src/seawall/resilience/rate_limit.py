"""Rate limit: at most so many calls in a period, evenly or in bursts."""

from __future__ import annotations

import asyncio
import threading
from bisect import insort
from dataclasses import dataclass

from seawall.core import Clock, Events, deadline
from seawall.core.options import number
from seawall.resilience import events as facts
from seawall.resilience.errors import RateLimitedError
from seawall.resilience.policy import FREE_THREADED, Policy
from seawall.resilience.weave import Face, Fragment


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimitStatistics:
    """`available` calls could begin now; `rejected` and `delayed` since it was made."""

    name: str
    calls: int
    per: float
    burst: int
    available: int
    rejected: int
    delayed: int


_ROUNDING = 1e-6
"""Seconds, at most. Rounding at a large clock reading (1e9 s has steps of 1e-7 s) must not turn a token away."""


class TokenBucket:
    """The generic cell rate algorithm (ITU-T I.371): a token bucket kept as one number.

    `full_at` is when the bucket will be full again if nobody takes a token. A token taken before it is there
    is a turn: a point in time of its own. A machine without a clock.
    """

    __slots__ = ("_turns", "burst", "capacity", "full_at", "interval", "rounding")

    def __init__(self, calls: int, per: float, burst: int) -> None:
        self.burst = burst
        self.interval = per / calls
        self.capacity = self.interval * burst
        self.rounding = min(_ROUNDING, self.interval / 100)
        self.full_at = 0.0
        self._turns: list[float] = []  # given back while others wait for later ones

    def take(self, now: float, patience: float, cost: int = 1) -> float:
        """Take `cost` tokens that are there within `patience` seconds: the wait for them, or minus the wait refused.

        Several at once are for buckets whose turns nobody gives back.
        """
        while self._turns and self._turns[0] < now:
            del self._turns[0]
        # No call from here on: woven functions in other threads take tokens without a lock.
        full_at = self.full_at
        if full_at < now:  # noqa: PLR1730
            full_at = now
        full_at += self.interval * cost
        wait = full_at - now - self.capacity
        if wait <= self.rounding:
            self.full_at = full_at
            return 0.0
        if self._turns:
            wait = self._turns[0] - now
            if wait > patience:
                return -wait
            del self._turns[0]
            return wait
        if wait > patience:
            return -wait
        self.full_at = full_at
        return wait

    def give_back(self, turn: float) -> None:
        """Return a turn not used: to the next who comes, for two calls at one turn would be too many."""
        insort(self._turns, turn)
        while self._turns and self._turns[-1] > self.full_at - self.capacity - self.interval / 2:
            del self._turns[-1]
            self.full_at -= self.interval

    def available(self, now: float) -> int:
        """How many tokens could be taken at once."""
        full_at = max(self.full_at, now)
        found = max(0, int((now + self.capacity - full_at) / self.interval))
        # One more where `take`, which reckons token by token, would find it.
        return found + (full_at + (found + 1) * self.interval - now - self.capacity <= self.rounding)


class RateLimit(Policy):
    """Lets `calls` calls begin in every `per` seconds, `burst` of them at once (default: all of them).

    max_wait: how long a call may wait for its turn, in seconds; 0 refuses at once. The wait never outlasts
        the caller's deadline. A wait that is cancelled gives its turn back.

    Raises `RateLimitedError`, with `retry_after`, in place of the call.
    """

    def __init__(
        self,
        calls: int,
        *,
        per: float = 1.0,
        burst: int | None = None,
        max_wait: float = 0.0,
        name: str | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        number("RateLimit", "calls", calls, at_least=1, integer=True)
        number("RateLimit", "per", per, above=0)
        number("RateLimit", "max_wait", max_wait, at_least=0)
        if burst is not None:
            number("RateLimit", "burst", burst, at_least=1, integer=True)
        self.calls = calls
        self.per = per
        self.burst = burst or calls
        self.bucket = TokenBucket(calls, per, self.burst)
        self._max_wait = max_wait
        self._lock = threading.Lock()
        self._rejected = 0
        self._delayed = 0

    def statistics(self) -> RateLimitStatistics:
        """A frozen picture of this moment."""
        return RateLimitStatistics(
            name=self.name,
            calls=self.calls,
            per=self.per,
            burst=self.burst,
            available=self.bucket.available(self.clock.monotonic()),
            rejected=self._rejected,
            delayed=self._delayed,
        )

    def fragment(self, face: Face) -> Fragment:
        """One token before the call; one that is there is taken in place."""
        return Fragment(
            _LOCKED_TEMPLATE if FREE_THREADED else _TEMPLATE,
            {
                "bucket": self.bucket,
                "clock": self.clock.monotonic,
                "take": self._take,
                "wait": self._wait if face.awaits else self._wait_blocking,
            },
        )

    def _take(self) -> float:
        """Seconds to wait for the token taken; raises when that is too long."""
        patience = deadline.bounded(self._max_wait, clock=self.clock) or 0.0
        with self._lock:
            wait = self.bucket.take(self.clock.monotonic(), patience)
        if wait < 0:
            self._rejected += 1
            if self.events.listeners:
                self.events.emit(facts.CallRejected(policy=self.name, reason=RateLimitedError.code))
            raise RateLimitedError(self.name, -wait)
        return wait

    async def _wait(self, seconds: float) -> None:
        self._delayed += 1
        turn = self.clock.monotonic() + seconds
        try:
            await asyncio.sleep(seconds)
        except BaseException:
            self._give_back(turn)
            raise

    def _wait_blocking(self, seconds: float) -> None:
        self._delayed += 1
        turn = self.clock.monotonic() + seconds
        try:
            self.clock.sleep(seconds)
        except BaseException:
            self._give_back(turn)
            raise

    def _give_back(self, turn: float) -> None:
        with self._lock:
            self.bucket.give_back(turn)

    def __repr__(self) -> str:
        return f"RateLimit({self.calls} per {self.per:g} s)"


_TEMPLATE = """
$now = $clock()
$full_at = $bucket.full_at
if $full_at < $now:
    $full_at = $now
$full_at += $bucket.interval
if $full_at - $now <= $bucket.capacity:
    $bucket.full_at = $full_at
else:
    $seconds = $take()
    if $seconds > 0.0:
        $await $wait($seconds)
$inner
"""

_LOCKED_TEMPLATE = """
$seconds = $take()
if $seconds > 0.0:
    $await $wait($seconds)
$inner
"""
