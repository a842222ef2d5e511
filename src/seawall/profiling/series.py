"""What is known of one name: how often it was called, how long that took, and how much of it was work."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from seawall.profiling.sketch import Durations

KEPT = 128
"""Calls that wait, at most, to be counted together: that is cheaper than to count each, and needs no lock."""


class Kind(StrEnum):
    """What was measured."""

    ASYNC = "async function"
    SYNC = "function"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"
    BLOCK = "block"
    ROUTE = "route"
    RECORDED = "recorded"


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The calls of one name. Durations are in seconds; quantiles are within 1.6 %, all else is exact.

    failures: calls that raised, for a route those answered with 500 and more; a cancelled call is none.
    busy: seconds of `total` in which it worked and did not wait, as found in one call of sixteen; None where that isn't
    measured. For an async function that is how long it held the event loop, for a function its CPU time.
    """

    name: str
    kind: Kind
    count: int
    failures: int
    total: float
    avg: float
    min: float
    max: float
    p50: float
    p95: float
    p99: float
    busy: float | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: durations to the nanosecond."""
        return {
            name: round(value, 9) if isinstance(value, float) else value
            for name, value in dataclasses.asdict(self).items()
        }


class Series:
    """Collects the calls of one name, from any thread.

    took: seconds of calls that are not counted yet; whoever appends calls `fold` when there are `KEPT`. worked:
    likewise, the busy seconds of some calls, and `sampled` how long those took.
    """

    __slots__ = ("_busy", "_durations", "_failures", "_lock", "_sampled", "kind", "name", "sampled", "took", "worked")

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self.took: list[float] = []
        self.worked: list[float] = []
        self.sampled: list[float] = []
        self._lock = threading.Lock()
        self._forget()

    def add(self, seconds: float) -> None:
        """A call took so long."""
        took = self.took
        took.append(seconds)
        if len(took) >= KEPT:
            self.fold()

    def failed(self, calls: int = 1) -> None:
        """So many calls raised."""
        with self._lock:
            self._failures += calls

    def fold(self) -> None:
        """Count what waits."""
        with self._lock:
            self._durations.add(_taken(self.took))
            self._busy += sum(_taken(self.worked))
            self._sampled += sum(_taken(self.sampled))

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            for waiting in (self.took, self.worked, self.sampled):
                waiting.clear()
            self._forget()

    def statistics(self) -> Statistics | None:
        """What is known by now; None of nothing."""
        self.fold()
        with self._lock:
            durations = self._durations
            if not durations.count:
                return None
            p50, p95, p99 = durations.quantiles(0.5, 0.95, 0.99)
            return Statistics(
                name=self.name,
                kind=self.kind,
                count=durations.count,
                failures=self._failures,
                total=durations.sum,
                avg=durations.mean,
                min=durations.least,
                max=durations.most,
                p50=p50,
                p95=p95,
                p99=p99,
                busy=self._all_busy(),
            )

    def _all_busy(self) -> float | None:
        """What was found in those calls that were looked at, for all."""
        return min(1.0, self._busy / self._sampled) * self._durations.sum if self._sampled > 0 else None

    def _forget(self) -> None:
        self._durations = Durations()
        self._failures = 0
        self._busy = 0.0
        self._sampled = 0.0


def _taken(waiting: list[float]) -> list[float]:
    # Others may append meanwhile: both steps are one operation each, and appends come behind what is taken.
    taken = waiting[:]
    del waiting[: len(taken)]
    return taken
