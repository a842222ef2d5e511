"""The retry budget: how much extra load retries and hedges together may put on a dependency."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from seawall.core import SYSTEM_CLOCK, Clock
from seawall.core.options import number


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetStatistics:
    """`tokens`: extra calls that may begin now; `spent` and `refused`: since it was made."""

    tokens: float
    spent: int
    refused: int


class RetryBudget:
    """Lets extra calls be at most `ratio` of the calls, plus a little for quiet services.

    A token bucket: a call puts in `ratio` tokens, an extra call takes one. `floor` tokens a second come by
    themselves, so that a service with few calls can retry at all. It holds `burst` tokens at most and begins
    with the floor of one second. Share one budget among the retries and hedges of one dependency, in any
    number of threads. A retry and a hedge around the same call each note it, and so allow for it twice.

    The ratio of 10 % is that of the Google SRE book (chapter "Handling Overload"); the bucket is Finagle's.
    """

    __slots__ = ("_clock", "_filled_at", "_lock", "_refused", "_spent", "burst", "floor", "ratio", "tokens")

    def __init__(
        self, ratio: float = 0.1, *, floor: float = 1.0, burst: float = 100.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        number("RetryBudget", "ratio", ratio, at_least=0, at_most=1)
        number("RetryBudget", "floor", floor, at_least=0)
        number("RetryBudget", "burst", burst, at_least=max(1.0, floor))
        self.ratio = ratio
        self.floor = floor
        self.burst = burst
        self.tokens = min(burst, floor)
        self._clock = clock
        self._filled_at = clock.monotonic()
        self._lock = threading.Lock()
        self._spent = 0
        self._refused = 0

    def deposit(self) -> None:
        """Note a call. Woven functions do this in place."""
        if self.tokens < self.burst:
            self.tokens += self.ratio

    def withdraw(self) -> bool:
        """Take a token for an extra call; False if there is none, and the call must not be made."""
        with self._lock:
            now = self._clock.monotonic()
            self.tokens = min(self.burst, self.tokens + (now - self._filled_at) * self.floor)
            self._filled_at = now
            if self.tokens < 1.0:
                self._refused += 1
                return False
            self.tokens -= 1.0
            self._spent += 1
            return True

    def statistics(self) -> BudgetStatistics:
        """A frozen picture of this moment."""
        return BudgetStatistics(tokens=self.tokens, spent=self._spent, refused=self._refused)

    def __repr__(self) -> str:
        return f"RetryBudget({self.ratio:.0%} of calls + {self.floor:g}/s)"
