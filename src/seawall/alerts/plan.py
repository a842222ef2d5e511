"""Everything that a service is watched by: its objectives, its thresholds, and the alerts that follow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from seawall.alerts.burn_alerts import burn_group
from seawall.alerts.business import FewEvents, SlowWork
from seawall.alerts.dependency_alerts import cache_group, calls_group, database_group
from seawall.alerts.job_alerts import jobs_group
from seawall.alerts.machine_alerts import resources_group
from seawall.alerts.objective import Objective
from seawall.alerts.options import Targets, Thresholds
from seawall.alerts.request_alerts import api_group, health_group, scrape_group, security_group
from seawall.alerts.rule import Group
from seawall.core import OptionError
from seawall.core.options import number

_SERVICE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_DURATIONS = "http_request_duration_seconds"


class MetricLike(Protocol):
    """A declared metric; `seawall.telemetry.metrics.Metric` is one."""

    @property
    def name(self) -> str:
        """As Prometheus knows it."""
        ...

    @property
    def buckets(self) -> tuple[float, ...]:
        """The upper bounds of a histogram's buckets; empty for anything else."""
        ...


@dataclass(frozen=True, kw_only=True)
class AlertPlan:
    """What a service is watched by.

        AlertPlan(service="podcasts", objectives=[Objective("lists", latency=(0.95, 0.25), routes=["GET /lists"])])

    service: its name, which is also the job under which Prometheus scrapes it. objectives: names are unique.
    business: alerts of the service's own. minimum_failures: fewer in an alert's long window don't tell anything, so no
    burn-rate alert fires; one failure of three requests at night wakes nobody. runbook: what alerts point at, an
    address or a file's name.
    """

    service: str
    objectives: Sequence[Objective] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    business: Sequence[FewEvents | SlowWork] = ()
    targets: Targets = field(default_factory=Targets)
    minimum_failures: int = 5
    runbook: str = "runbook.md"

    def __post_init__(self) -> None:
        if not isinstance(self.service, str) or not _SERVICE.fullmatch(self.service):
            raise OptionError("AlertPlan", "service", self.service, "a letter, then letters, digits, - and _")
        _unique("objectives", self.objectives, (Objective,))
        _unique("business", self.business, (FewEvents, SlowWork))
        object.__setattr__(self, "objectives", tuple(self.objectives))
        object.__setattr__(self, "business", tuple(self.business))
        number("AlertPlan", "minimum_failures", self.minimum_failures, at_least=1, at_most=1_000, integer=True)
        if not isinstance(self.runbook, str) or not re.fullmatch(r"[^\s#{}]+", self.runbook):
            raise OptionError("AlertPlan", "runbook", self.runbook, "an address or a file's name, without #")
        taken = [alert.name for group in self.groups for alert in group.alerts]
        for one in self.business:
            if taken.count(one.name) > 1:
                raise OptionError("AlertPlan", "business", one.name, "a name that no other alert has")

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All rules, the most important first."""
        service, limits = self.service, self.thresholds
        found = (
            *([burn_group(service, self.objectives, self.minimum_failures)] if self.objectives else []),
            scrape_group(service),
            api_group(service, limits),
            health_group(service),
            database_group(service, limits),
            cache_group(service, limits),
            calls_group(service),
            jobs_group(service, limits),
            resources_group(service, limits),
            security_group(service, limits),
        )
        if not self.business:
            return found
        alerts = tuple(one.alert(service) for one in self.business)
        return (*found, Group(name="business", title="Business", alerts=alerts))

    def check(self, metrics: Iterable[MetricLike]) -> None:
        """Raise `OptionError` where one asks for what these metrics can't tell.

        An objective's latency must be a bucket's bound, since between two bounds nobody knows who was in time; the
        threshold of a percentile must be below the last bound, since above it nothing is measured.
        """
        buckets = {metric.name: metric.buckets for metric in metrics}
        for objective in self.objectives:
            if objective.latency is not None:
                _bound(objective, objective.latency[1], buckets)
        limits = self.thresholds
        for option, value, metric in (
            ("latency", limits.latency, _DURATIONS),
            ("statement_seconds", limits.statement_seconds, "database_statement_duration_seconds"),
            ("event_loop_lag", limits.event_loop_lag, "event_loop_lag_seconds"),
            ("job_wait", limits.job_wait, "job_wait_seconds"),
        ):
            _measured("Thresholds", option, value, buckets.get(metric, ()))
        for one in self.business:
            if isinstance(one, SlowWork):
                if one.metric in buckets and not buckets[one.metric]:
                    raise OptionError(one.name, "metric", one.metric, "a histogram")
                _measured(one.name, "above", one.above, buckets.get(one.metric, ()))


def _unique(option: str, given: Any, kinds: tuple[type, ...]) -> None:
    allowed = f"a list of {' and '.join(kind.__name__ for kind in kinds)}"
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise OptionError("AlertPlan", option, given, allowed)
    wrong = [one for one in given if not isinstance(one, kinds)]
    if wrong:
        raise OptionError("AlertPlan", option, wrong[0], allowed)
    names = [one.name for one in given]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise OptionError("AlertPlan", option, twice[0], "names that differ")


def _bound(objective: Objective, seconds: float, buckets: Mapping[str, tuple[float, ...]]) -> None:
    bounds = buckets.get(_DURATIONS, ())
    if seconds not in bounds:
        nearest = min(bounds, key=lambda one: abs(one - seconds), default=None)
        allowed = f"a bound of {_DURATIONS}" + ("" if nearest is None else f", of which {nearest:g} is nearest")
        raise OptionError(f"objective {objective.name!r}", "latency seconds", seconds, allowed)


def _measured(owner: str, option: str, value: float, bounds: tuple[float, ...]) -> None:
    if bounds and value >= bounds[-1]:
        raise OptionError(owner, option, value, f"less than {bounds[-1]:g}, the last bound that is measured")
