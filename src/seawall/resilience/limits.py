"""Algorithms that find how many calls a dependency can take at once, from how long calls take.

Each is a machine: `sample` gets one finished call and returns the new limit. After TCP (AIMD, RFC 5681) and
Netflix's concurrency-limits (Vegas, Gradient2), with two changes without which they are not stable:

1. One step for a round of calls, as TCP takes one for a window of data, and Netflix by its `WindowedLimit`.
   A step for each call would be repeated for all the calls that were let in before the first one showed.
2. The undisturbed duration is measured while the limit is cut in half, once the queue at the dependency had
   time to drain (Netflix's first `GradientLimit`; BBR's ProbeRTT). Taken from calls under load, as the shortest
   or as a long average, it takes a standing queue for normal, and the limit drifts up without end.
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


class Rounds:
    """Where a limit begins, between what it stays, and the round of calls it is judged by.

    A round is as many calls as the limit admits, and ten at least: those that ran when it began have ended.
    """

    LEAST = 10
    TOLERATED = 0.1
    """The share of a round that may be dropped: calls hang for reasons of their own, too."""
    BACKOFF = 0.9
    """What a round with more dropped leaves of the limit."""

    __slots__ = ("_calls", "_dropped", "_highest", "_lowest", "_peak", "_seconds", "_size", "limit")
    _calls: int
    _dropped: int
    _peak: int

    def __init__(self, owner: str, initial: int, lowest: int, highest: int) -> None:
        number(owner, "lowest", lowest, at_least=1, integer=True)
        number(owner, "highest", highest, at_least=lowest, integer=True)
        number(owner, "initial", initial, at_least=lowest, at_most=highest, integer=True)
        self._lowest = float(lowest)
        self._highest = float(highest)
        self.limit = float(initial)
        self._begin(self.limit)

    def sample(self, seconds: float, running: int, *, dropped: bool) -> float:
        """Take one finished call into account."""
        self._calls += 1
        self._peak = max(self._peak, running)
        if dropped:
            self._dropped += 1
        else:
            self._seconds += seconds
        if self._calls >= self._size:
            before = self.limit
            self.limit = min(self._highest, max(self._lowest, self._step()))
            self._begin(max(before, self.limit))
        return self.limit

    def _step(self) -> float:
        """The limit after a round."""
        raise NotImplementedError

    @property
    def _overloaded(self) -> bool:
        return self._dropped > self.TOLERATED * self._calls

    @property
    def _mean(self) -> float | None:
        """The average duration of the round's calls; None if all were dropped."""
        timed = self._calls - self._dropped
        return self._seconds / timed if timed else None

    def _begin(self, size: float) -> None:
        self._size = max(self.LEAST, int(size))
        self._calls = self._dropped = self._peak = 0
        self._seconds = 0.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self.limit)})"


class AIMD(Rounds):
    """Adds one while calls go well near the limit; multiplies by `backoff` when they are dropped or over `timeout`.

    It can tell overload by `timeout` only: choose it a few times what a call takes when all is well.
    """

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
        return super().sample(seconds, running, dropped=dropped or seconds > self._timeout)

    def _step(self) -> float:
        if self._overloaded:
            return self.limit * self._backoff
        return self.limit + 1 if self._peak * 2 >= self.limit else self.limit


class _Probing(Rounds):
    """Compares each round's average duration with the undisturbed one.

    That one is measured by a probe every `probe_every` rounds: the limit is cut in half, one round goes by
    while the queue drains, the next is measured, and the limit is what it was. No probe is made, and nobody
    turned away for one, while fewer calls run than the limit admits.
    """

    __slots__ = ("_probe_every", "_restore", "_rounds", "_undisturbed")

    def __init__(self, owner: str, initial: int, lowest: int, highest: int, probe_every: int) -> None:
        super().__init__(owner, initial, lowest, highest)
        number(owner, "probe_every", probe_every, at_least=5, integer=True)
        self._probe_every = probe_every
        self._rounds = probe_every
        self._undisturbed = math.inf
        self._restore: float | None = None

    def _step(self) -> float:
        mean = self._mean
        self._rounds += 1
        if self._restore is not None:
            if self._rounds == 1:  # the queue has drained by now
                return self.limit
            limit, self._restore = self._restore, None
            self._undisturbed = mean or self._undisturbed
            return limit
        if self._overloaded or mean is None:
            return self.limit * self.BACKOFF
        if self._undisturbed == math.inf:
            self._undisturbed = mean
        if self._peak >= int(self.limit) and self._rounds >= self._probe_every:
            self._restore = self.limit
            self._rounds = 0
            return self.limit / 2
        if self._peak * 2 < self.limit:
            return self.limit
        return self._next(mean)

    def _next(self, mean: float) -> float:
        raise NotImplementedError


class Vegas(_Probing):
    """Estimates the queue at the dependency and keeps it between two bounds, `alpha` and `beta`.

    queue = limit * (1 - undisturbed / mean). Fewer than `alpha` = 3 log10(limit) queued: grow; more than
    `beta` = twice that: shrink, by log10(limit). After Brakmo and Peterson, "TCP Vegas" (1994).
    """

    __slots__ = ()

    def __init__(self, *, initial: int = 20, lowest: int = 1, highest: int = 1000, probe_every: int = 20) -> None:
        super().__init__("Vegas", initial, lowest, highest, probe_every)

    def _next(self, mean: float) -> float:
        limit = self.limit
        log = max(1.0, math.log10(limit))
        queue = limit * (1 - self._undisturbed / mean) if mean > 0 else 0.0
        if queue <= log:
            return limit + 6 * log
        if queue < 3 * log:
            return limit + log
        return limit - log if queue > 6 * log else limit


class Gradient2(_Probing):
    """Compares times as a ratio: longer than `tolerance` times the undisturbed ones shrinks the limit.

    new = limit * max(0.5, min(1, tolerance * undisturbed / mean)) + sqrt(limit), smoothed.
    """

    __slots__ = ("_smoothing", "_tolerance")

    def __init__(
        self,
        *,
        initial: int = 20,
        lowest: int = 1,
        highest: int = 200,
        smoothing: float = 0.2,
        tolerance: float = 1.5,
        probe_every: int = 20,
    ) -> None:
        super().__init__("Gradient2", initial, lowest, highest, probe_every)
        number("Gradient2", "smoothing", smoothing, above=0, at_most=1)
        number("Gradient2", "tolerance", tolerance, at_least=1)
        self._smoothing = smoothing
        self._tolerance = tolerance

    def _next(self, mean: float) -> float:
        ratio = self._tolerance * self._undisturbed / mean if mean > 0 else 1.0
        target = self.limit * max(0.5, min(1.0, ratio)) + math.sqrt(self.limit)
        return self.limit + (target - self.limit) * self._smoothing
