"""Alerts on what the service is there for; the service names the metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from seawall.alerts.promql import duration, equal, equals, selector
from seawall.alerts.rule import NUMBER, Alert, Case, Severity, Shown, percentage
from seawall.core import OptionError
from seawall.core.options import number

_ALERT = re.compile(r"[A-Z][A-Za-z0-9]*")
_METRIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class FewEvents:
    """Too little happens: fewer than `at_least` of a counter `within` so many seconds (whole minutes, five at least).

    name: the alert's, such as `FewCampaigns`. what: happens, in the plural: `campaigns created`. labels: which series
    of the metric count. Nothing is said of a metric that isn't there, nor before Prometheus has watched for so long.
    """

    name: str
    what: str
    metric: str
    labels: Mapping[str, str] = field(default_factory=dict)
    at_least: float = 1
    within: float = 3_600

    def __post_init__(self) -> None:
        _check(self.name, self.what, self.metric, self.labels)
        if not self.metric.endswith("_total"):
            raise OptionError(self.name, "metric", self.metric, "a counter, whose name ends in _total")
        number(self.name, "at_least", self.at_least, above=0)
        number(self.name, "within", self.within, at_least=300)
        if self.within % 60:
            raise OptionError(self.name, "within", self.within, "whole minutes, in seconds")

    def alert(self, service: str) -> Alert:
        """The alert for that service."""
        job, window = equal("job", service), duration(self.within)
        counted = selector(self.metric, job, equals(self.labels))
        minutes = int(self.within // 60) + 30
        series = {
            selector("up", job): f"1x{minutes}",
            selector(self.metric, job, equals(self.labels)): f"1x{minutes}",
        }
        enough = series | {counted: f"0+{self.at_least:g}x{minutes}"}
        at = minutes * 60.0
        few = "No" if self.at_least <= 1 else f"Fewer than {self.at_least:g}"
        return Alert(
            name=self.name,
            expression=(
                f"(\n  sum(increase({counted}[{window}]))\n  or\n  0 * count({selector(self.metric, job)})\n)\n"
                f"< {self.at_least:g}\nand on () up{{{job}}} offset {window}"
            ),
            held=900,
            severity=Severity.TICKET,
            summary=f"Few {self.what}",
            description=f"{NUMBER} {self.what} within {window}; {self.at_least:g} at least are usual. "
            "See whether users can't or don't want to.",
            meaning=f"{few} {self.what} within {window}.",
            action="Look at errors and latency of the requests that lead there, then at what changed: a release, a "
            "form, a provider. If the service is well, tell those who run the business.",
            cases=(
                Case(name="nothing happens", series=series, at=at, shown=(Shown(value=0.0),)),
                Case(name="enough happens", series=enough, at=at),
                Case(name="nobody has watched long enough", series=series, at=self.within / 2 // 60 * 60),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class SlowWork:
    """Something takes too long: a quantile of a histogram's values is above so many seconds.

    name: the alert's, such as `AttributionSlow`. what: takes long: `attribution`. labels: which series count.
    """

    name: str
    what: str
    metric: str
    labels: Mapping[str, str] = field(default_factory=dict)
    quantile: float = 0.95
    above: float = 5.0

    def __post_init__(self) -> None:
        _check(self.name, self.what, self.metric, self.labels)
        number(self.name, "quantile", self.quantile, above=0)
        if self.quantile >= 1:
            raise OptionError(self.name, "quantile", self.quantile, "a number above 0 and below 1")
        number(self.name, "above", self.above, above=0)

    def alert(self, service: str) -> Alert:
        """The alert for that service."""
        ours = (equal("job", service), equals(self.labels))
        buckets = selector(f"{self.metric}_bucket", *ours)

        def spread(low: float, high: float) -> dict[str, str]:
            """Everything took between the two."""
            counts = {f"{low:g}": "0x60", f"{high:g}": "0+60x60", "+Inf": "0+60x60"}
            return {selector(f"{self.metric}_bucket", *ours, equal("le", le)): values for le, values in counts.items()}

        high = self.above * 2
        shown = self.above + (high - self.above) * self.quantile
        return Alert(
            name=self.name,
            expression=f"histogram_quantile({self.quantile:g}, sum by (le) (rate({buckets}[5m]))) > {self.above:g}",
            held=600,
            severity=Severity.TICKET,
            summary=f"Slow {self.what}",
            description=f"{percentage(self.quantile)} of {self.what} take up to {NUMBER} s; usual are "
            f"{self.above:g} s at most. "
            "See what it waits for.",
            meaning=f"{percentage(1 - self.quantile)} of {self.what} take longer than {self.above:g} s.",
            action="Open a trace of a slow one and see where the time goes: the database, a provider, or a queue in "
            "front of them.",
            cases=(
                Case(name="it is slow", series=spread(self.above, high), shown=(Shown(value=shown),)),
                Case(name="it is quick", series=spread(self.above / 4, self.above / 2)),
            ),
        )


def _check(name: str, what: str, metric: str, labels: Mapping[str, str]) -> None:
    if not isinstance(name, str) or not _ALERT.fullmatch(name):
        raise OptionError("business alert", "name", name, "a name such as FewCampaigns")
    if not isinstance(what, str) or not what.strip() or not what.isprintable() or "{{" in what:
        raise OptionError(name, "what", what, "words such as 'campaigns created'")
    if not isinstance(metric, str) or not _METRIC.fullmatch(metric):
        raise OptionError(name, "metric", metric, "the name of a metric")
    if not all(_METRIC.fullmatch(label) and isinstance(value, str) for label, value in labels.items()):
        raise OptionError(name, "labels", dict(labels), "a dict of label names and values")
