"""Counters, gauges and histograms: declared once, counted without a lock, told to Prometheus."""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from seawall.core import OptionError
from seawall.core.options import number

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; what histograms have by default."""
OTHER = "(other)"
"""The label of everything that came after a metric had as many series as it may."""
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TARGETS = frozenset({"job", "instance"})
"""Labels that Prometheus gives to whatever it scrapes."""


class Kind(StrEnum):
    """What a metric is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """How the gauges of several processes become one."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A declaration. The name has its unit in it, as Prometheus asks: `_seconds`, `_bytes`, `_ratio`, `_total`.

    labels: their names; not `job` nor `instance`, by which Prometheus knows whom it scraped. buckets: upper bounds of a
    histogram, ascending; +Inf is added. across: for a gauge.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Across = Across.SUM

    def __post_init__(self) -> None:
        for name in (self.name, *self.labels):
            if not _NAME.fullmatch(name) or name.startswith("__") or name == "le":
                raise OptionError(f"metric {self.name!r}", "name", name, "letters, digits and _; not le, not __…")
        for name in _TARGETS.intersection(self.labels):
            raise OptionError(
                f"metric {self.name!r}", "labels", name, f"another name: Prometheus would rename it to exported_{name}"
            )
        if (self.kind is Kind.COUNTER) != self.name.endswith("_total"):
            raise OptionError(
                f"metric {self.name!r}", "name", self.name, "_total at the end of counters, and only there"
            )
        if self.kind is Kind.HISTOGRAM and (not self.buckets or sorted(set(self.buckets)) != list(self.buckets)):
            raise OptionError(f"metric {self.name!r}", "buckets", self.buckets, "ascending numbers, at least one")

    @property
    def width(self) -> int:
        """How many numbers one series is: of a histogram a count per bucket, one above the last, and the sum."""
        return len(self.buckets) + 2 if self.kind is Kind.HISTOGRAM else 1


class Series:
    """One metric with one set of label values: some numbers in `values`, from `index` on."""

    __slots__ = ("index", "labels", "values")

    def __init__(self, labels: tuple[str, ...], values: Any, index: int) -> None:
        self.labels = labels
        self.values = values
        self.index = index

    def read(self, width: int) -> list[float]:
        """Its numbers."""
        return list(self.values[self.index : self.index + width])


class CounterSeries(Series):
    """A number that grows."""

    __slots__ = ()

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`, 0 or more. No addition is lost: no thread can run within that of another (decision 0003)."""
        amount = float(amount)  # a call lets other threads run, so it must not be between reading and writing
        self.values[self.index] += amount

    def mirror(self, total: float) -> None:
        """Take over what is counted elsewhere in this process."""
        self.values[self.index] = float(total)

    @property
    def value(self) -> float:
        """What was counted in this process."""
        return float(self.values[self.index])


class GaugeSeries(Series):
    """A number that rises and falls."""

    __slots__ = ()

    def set(self, value: float) -> None:
        """It is `value` now."""
        self.values[self.index] = float(value)

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`."""
        amount = float(amount)
        self.values[self.index] += amount

    def dec(self, amount: float = 1.0) -> None:
        """Subtract `amount`."""
        self.inc(-amount)

    @property
    def value(self) -> float:
        """What it is in this process."""
        return float(self.values[self.index])


class HistogramSeries(Series):
    """How often values fell into each bucket, and their sum; per bucket the trace of the last one that was sampled."""

    __slots__ = ("_bounds", "_sum", "exemplars")

    def __init__(self, labels: tuple[str, ...], values: Any, index: int, bounds: tuple[float, ...]) -> None:
        super().__init__(labels, values, index)
        self._bounds = bounds
        self._sum = len(bounds) + 1
        self.exemplars: dict[int, tuple[str, float]] | None = None

    def observe(self, value: float, trace_id: str | None = None) -> None:
        """Count `value`. trace_id: of a recorded trace that shows it."""
        self.observe_all((value,))
        if trace_id is not None:
            self.show(value, trace_id)

    def observe_all(self, given: Sequence[float]) -> None:
        """Count many at once."""
        values, index, bounds = self.values, self.index, self._bounds
        for value in given:
            # In steps between which no other thread can run (decision 0003).
            place = index + bisect_left(bounds, value)
            values[place] += 1.0
        place, total = index + self._sum, float(sum(given))
        values[place] += total

    def show(self, value: float, trace_id: str) -> None:
        """Have `value`, which was counted, shown by a trace that was recorded."""
        value = float(value)
        if self.exemplars is None:
            self.exemplars = {}
        self.exemplars[bisect_left(self._bounds, value)] = (trace_id, value)

    @property
    def count(self) -> int:
        """How many were counted in this process."""
        return int(sum(self.values[self.index : self.index + self._sum]))

    @property
    def sum(self) -> float:
        """Their sum."""
        return float(self.values[self.index + self._sum])


S = TypeVar("S", bound=Series)


class Family(Generic[S]):
    """A declared metric and its series, made when they are first counted.

    One with `most` series counts what else there is under the label values `(other)`, so that no caller's input can
    fill the memory.
    """

    def __init__(self, metric: Metric, make: Callable[[Family[S], tuple[str, ...]], S], most: int) -> None:
        self.metric = metric
        self.series: dict[tuple[str, ...], S] = {}
        self.refused = 0
        self.starts: dict[tuple[str, ...], tuple[str, ...]] = {}
        """How the exposition begins the lines of each series."""
        self._make = make
        self._most = most

    def labels(self, *values: object) -> S:
        """The series with these label values, in the order of the declaration; keep it where it is counted often."""
        key = tuple(map(str, values))
        found = self.series.get(key)
        return self._add(key) if found is None else found

    def _add(self, key: tuple[str, ...]) -> S:
        if len(key) != len(self.metric.labels):
            allowed = f"one value for each of {self.metric.labels}"
            raise OptionError(f"metric {self.metric.name!r}", "labels", key, allowed)
        if len(self.series) >= self._most and key:
            self.refused += 1
            key = (OTHER,) * len(key)
            if key in self.series:
                return self.series[key]
        return self._make(self, key)

    def __iter__(self) -> Iterator[S]:
        return iter(list(self.series.values()))


class Counter(Family[CounterSeries]):
    """A metric that only grows."""

    def inc(self, amount: float = 1.0, **labels: object) -> None:
        """Count in one line: `campaigns.inc(plan="pro")`."""
        if amount < 0:
            raise OptionError(f"metric {self.metric.name!r}", "amount", amount, "0 or more; a counter only grows")
        self.labels(*_ordered(self.metric, labels)).inc(amount)


class Gauge(Family[GaugeSeries]):
    """A metric that rises and falls."""

    def set(self, value: float, **labels: object) -> None:
        """It is `value` now."""
        self.labels(*_ordered(self.metric, labels)).set(value)


class Histogram(Family[HistogramSeries]):
    """A metric of which values are distributed."""

    def observe(self, value: float, **labels: object) -> None:
        """Count `value`."""
        self.labels(*_ordered(self.metric, labels)).observe(value)


def _ordered(metric: Metric, given: Mapping[str, object]) -> Sequence[object]:
    if given.keys() != set(metric.labels):
        raise OptionError(f"metric {metric.name!r}", "labels", tuple(given), f"exactly {metric.labels}")
    return [given[name] for name in metric.labels]


Allocate = Callable[[Metric, "tuple[str, ...]"], "tuple[Any, int]"]


def memory(metric: Metric, labels: tuple[str, ...]) -> tuple[Any, int]:
    """Room for a series in this process alone, all zero: the numbers, and where its own begin."""
    return [0.0] * metric.width, 0


class Metrics:
    """The metrics of a service.

        metrics = Metrics()
        created = metrics.counter("campaigns_created_total", "Campaigns that were created.", labels=("plan",))
        created.inc(plan="pro")

    most_series: of one metric; see `Family`. Declaring the same metric again gives the one there is.
    """

    def __init__(self, *, most_series: int = 1000) -> None:
        number("Metrics", "most_series", most_series, at_least=1, integer=True)
        self.families: dict[str, Family[Any]] = {}
        self._most = most_series
        self._allocate: Allocate = memory
        self._before: list[Callable[[], None]] = []

    def counter(self, name: str, help: str, *, labels: Sequence[str] = ()) -> Counter:  # noqa: A002
        """Declare a counter."""
        return self.declare(Metric(name=name, kind=Kind.COUNTER, help=help, labels=tuple(labels)))  # type: ignore[return-value]

    def gauge(self, name: str, help: str, *, labels: Sequence[str] = (), across: Across = Across.SUM) -> Gauge:  # noqa: A002
        """Declare a gauge."""
        metric = Metric(name=name, kind=Kind.GAUGE, help=help, labels=tuple(labels), across=across)
        return self.declare(metric)  # type: ignore[return-value]

    def histogram(
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = LATENCY_BUCKETS,
    ) -> Histogram:
        """Declare a histogram."""
        metric = Metric(name=name, kind=Kind.HISTOGRAM, help=help, labels=tuple(labels), buckets=tuple(buckets))
        return self.declare(metric)  # type: ignore[return-value]

    def declare(self, metric: Metric) -> Family[Any]:
        """The family of `metric`. Raises `OptionError` when the name is another metric's."""
        known = self.families.get(metric.name)
        if known is None:
            family: Family[Any] = _FAMILIES[metric.kind](metric, self._make, self._most)
            self.families[metric.name] = family
            if not metric.labels:
                family.labels()
            return family
        if known.metric != metric:
            raise OptionError("Metrics", "name", metric.name, f"a name that isn't taken; there is {known.metric}")
        return known

    def before_scrape(self, function: Callable[[], None]) -> None:
        """Have `function` called before metrics are read, to set what is counted elsewhere. It must not block."""
        self._before.append(function)

    def refresh(self) -> None:
        """Call what `before_scrape` was given."""
        for function in self._before:
            function()

    def move(self, allocate: Allocate, *, anew: bool = False) -> None:
        """Keep all numbers where `allocate` says from now on, with their values of now.

        anew: as nothing yet, in a process that was forked off; a gauge of which the least counts is infinite then.
        """
        self._allocate = allocate
        for family in self.families.values():
            width = family.metric.width
            nothing = [math.inf if family.metric.across is Across.MIN else 0.0] * width
            for series in family:
                values, index = allocate(family.metric, series.labels)
                values[index : index + width] = array("d", nothing if anew else series.read(width))
                series.values, series.index = values, index

    def _make(self, family: Family[Any], labels: tuple[str, ...]) -> Any:
        metric = family.metric
        values, index = self._allocate(metric, labels)
        kind = _SERIES[metric.kind]
        series = kind(labels, values, index, metric.buckets) if metric.buckets else kind(labels, values, index)
        return family.series.setdefault(labels, series)


_SERIES: dict[Kind, type[Any]] = {
    Kind.COUNTER: CounterSeries,
    Kind.GAUGE: GaugeSeries,
    Kind.HISTOGRAM: HistogramSeries,
}
_FAMILIES: dict[Kind, type[Family[Any]]] = {Kind.COUNTER: Counter, Kind.GAUGE: Gauge, Kind.HISTOGRAM: Histogram}
