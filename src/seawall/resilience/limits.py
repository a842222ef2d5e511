"""Algorithms that find how many calls a dependency can take at once, from how long calls take.

Each is a machine: `sample` gets one finished call and returns the new limit. After Netflix's
concurrency-limits (Gradient2, Vegas), and TCP (AIMD, RFC 5681).
"""

from __future__ import annotations

import math
from typing import Protocol

from seawall.core.options import number


class LimitAlgorithm(Protocol):
    """Finds a limit. `limit` is a float; its whole part is what holds."""

    limit: float

    def sample(self, seconds: float, running: int, *, dropped: bool) -> float:
        """Take one finished call into account and return the limit.

        seconds: how long the call took; running: how many ran when it began, itself included; dropped: it was
        cut or refused for overload, so its time says nothing.
        """
        ...


class Bounds:
    """Where a limit begins and between what it stays."""

    __slots__ = ("_bounds", "limit")

    def __init__(self, owner: str, initial: int, lowest: int, highest: int) -> None:
        number(owner, "lowest", lowest, at_least=1, integer=True)
        number(owner, "highest", highest, at_least=lowest, integer=True)
        number(owner, "initial", initial, at_least=lowest, at_most=highest, integer=True)
        self._bounds = (float(lowest), float(highest))
        self.limit = float(initial)

    def _set(self, limit: float) -> float:
        lowest, highest = self._bounds
        self.limit = min(highest, max(lowest, limit))
        return self.limit

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self.limit)})"


class AIMD(Bounds):
    """Adds one while calls go well at the limit; multiplies by `backoff` when one is dropped or over `timeout`."""

    __slots__ = ("_backoff", "_timeout")

    def __init__(
        self, *, initial: int = 20, lowest: int = 1, highest: int = 200, backoff: float = 0.9, timeout: float = 5.0
    ) -> None:
        super().__init__("AIMD", initial, lowest, highest)
        number("AIMD", "backoff", backoff, at_least=0.5, at_most=0.99)
        number("AIMD", "timeout", timeout, above=0)
        self._backoff = backoff
        self._timeout = timeout

    def sample(self, seconds: float, running: int, *, dropped: bool) -> float:
        """Take one finished call into account."""
        if dropped or seconds > self._timeout:
            return self._set(self.limit * self._backoff)
        if running * 2 >= self.limit:
            # One more for each round of calls, not for each call.
            return self._set(self.limit + 1.0 / self.limit)
        return self.limit


class Vegas(Bounds):
    """Estimates the queue at the dependency from the shortest time ever seen, and keeps it between two bounds.

    queue = limit * (1 - shortest / seconds). Fewer than `alpha` queued: grow; more than `beta`: shrink.
    The shortest time is measured anew every `probe_every` * limit samples, so that it can rise again.
    """

    __slots__ = ("_countdown", "_probe_every", "_shortest", "_smoothing")

    def __init__(
        self,
        *,
        initial: int = 20,
        lowest: int = 1,
        highest: int = 1000,
        smoothing: float = 1.0,
        probe_every: int = 30,
    ) -> None:
        super().__init__("Vegas", initial, lowest, highest)
        number("Vegas", "smoothing", smoothing, above=0, at_most=1)
        number("Vegas", "probe_every", probe_every, at_least=1, integer=True)
        self._smoothing = smoothing
        self._probe_every = probe_every
        self._shortest = math.inf
        self._countdown = probe_every * initial

    def sample(self, seconds: float, running: int, *, dropped: bool) -> float:
        """Take one finished call into account."""
        limit = self.limit
        log = max(1.0, math.log10(limit))
        if dropped:
            return self._set(limit - log * self._smoothing)
        self._countdown -= 1
        if self._countdown <= 0:
            self._countdown = int(self._probe_every * limit)
            self._shortest = seconds
            return limit
        self._shortest = min(self._shortest, seconds)
        if running * 2 < limit:
            return limit
        queue = limit * (1 - self._shortest / seconds) if seconds > 0 else 0.0
        alpha, beta = 3 * log, 6 * log
        if queue <= log:
            target = limit + beta
        elif queue < alpha:
            target = limit + log
        elif queue > beta:
            target = limit - log
        else:
            return limit
        # A round of `limit` samples moves the limit by the step, so that it answers the calls it let in.
        return self._set(limit + (target - limit) * self._smoothing / limit)


class Gradient2(Bounds):
    """Compares recent times with a long average: slower than `tolerance` times that shrinks the limit.

    new = limit * max(0.5, min(1, tolerance * long / short)) + sqrt(limit), smoothed. The long average runs over
    `long_window` samples, so a lasting change of latency becomes the new normal.
    """

    __slots__ = ("_long", "_long_window", "_seen", "_smoothing", "_tolerance")

    def __init__(
        self,
        *,
        initial: int = 20,
        lowest: int = 1,
        highest: int = 200,
        smoothing: float = 0.2,
        tolerance: float = 1.5,
        long_window: int = 600,
    ) -> None:
        super().__init__("Gradient2", initial, lowest, highest)
        number("Gradient2", "smoothing", smoothing, above=0, at_most=1)
        number("Gradient2", "tolerance", tolerance, at_least=1)
        number("Gradient2", "long_window", long_window, at_least=10, integer=True)
        self._smoothing = smoothing
        self._tolerance = tolerance
        self._long_window = long_window
        self._long = 0.0
        self._seen = 0

    def sample(self, seconds: float, running: int, *, dropped: bool) -> float:
        """Take one finished call into account."""
        if dropped:
            return self._set(self.limit * 0.9)
        self._seen = min(self._seen + 1, self._long_window)
        # A plain average until the window is full, an exponential one from then on.
        self._long += (seconds - self._long) / self._seen
        if self._long > 2 * seconds:
            # Latency fell back after an overload: forget the slow time faster than the window does.
            self._long *= 0.95
        if running * 2 < self.limit:
            return self.limit
        ratio = self._tolerance * self._long / seconds if seconds > 0 else 1.0
        target = self.limit * max(0.5, min(1.0, ratio)) + math.sqrt(self.limit)
        return self._set(self.limit + (target - self.limit) * self._smoothing)
