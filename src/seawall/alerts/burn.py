"""Burn rates: how fast an objective's error budget is used up, over a long and a short window at once.

After chapter 5 of Google's "Site Reliability Workbook": the long window tells that it matters, the short one that it
still goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seawall.alerts.objective import Indicator, Objective
from seawall.alerts.promql import among, bound, equal, literal, selector
from seawall.alerts.rule import Recording, Severity
from seawall.core import OptionError
from seawall.core.options import number

INTERVAL = 30
"""Seconds between two evaluations of the rules."""
WINDOWS: Mapping[str, int] = {
    "5m": 300,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "6h": 21_600,
    "1d": 86_400,
    "3d": 259_200,
}
"""The windows' seconds by name."""
COUNTED = "5m"
"""The window that is read from the service's own series. The longer ones are sums of what is recorded of it: else
days of every route's series would be read again every half minute."""
HIGHEST = 0.95
"""The highest share of failures at which an alert fires: 14.4 times a budget of 10 % would be more than there are."""


@dataclass(frozen=True, kw_only=True)
class Burn:
    """An alert on the speed at which a budget is used: `factor` times what would use it up exactly in its window."""

    name: str
    factor: float
    long: str
    short: str
    held: float
    severity: Severity
    means: str

    def threshold(self, budget: float) -> float:
        """The share of failures above which it fires, in both windows."""
        return min(self.factor * budget, HIGHEST)


BURNS = (
    Burn(
        name="BudgetBurnsVeryFast", factor=14.4, long="1h", short="5m", held=120, severity=Severity.PAGE,
        means="An hour of this uses 2 % of a 30-day budget; all of it is gone in two days.",
    ),
    Burn(
        name="BudgetBurnsFast", factor=6.0, long="6h", short="30m", held=300, severity=Severity.PAGE,
        means="Six hours of this use 5 % of a 30-day budget; all of it is gone in five days.",
    ),
    Burn(
        name="BudgetBurns", factor=3.0, long="1d", short="2h", held=900, severity=Severity.TICKET,
        means="A day of this uses 10 % of a 30-day budget; all of it is gone in ten days.",
    ),
    Burn(
        name="BudgetBurnsSlowly", factor=1.0, long="3d", short="6h", held=900, severity=Severity.TICKET,
        means="Three days of this use 10 % of a 30-day budget; the objective will just be missed.",
    ),
)  # fmt: skip
"""From the most urgent to the least."""


def firing(
    objective: Objective,
    counts: Mapping[str, tuple[float, float]],
    indicator: Indicator = Indicator.AVAILABILITY,
    *,
    minimum_failures: int = 5,
) -> tuple[Burn, ...]:
    """The alerts that would fire, the most urgent first, without their delay.

    counts: by window (`5m`, `1h` …) the good requests in it and all of them; an alert one of whose windows is missing
    is left out. minimum_failures: see `AlertPlan`.
    """
    for window, (good, total) in counts.items():
        if window not in WINDOWS:
            raise OptionError("firing", "counts", window, ", ".join(WINDOWS))
        number("firing", f"counts[{window!r}]", total, at_least=0)
        number("firing", f"good of counts[{window!r}]", good, at_least=0, at_most=total)

    def failed(window: str) -> float:
        good, total = counts[window]
        return (total - good) / total if total else 0.0

    budget = objective.budget(indicator)
    return tuple(
        burn
        for burn in BURNS
        if burn.long in counts
        and burn.short in counts
        and min(failed(burn.long), failed(burn.short)) > burn.threshold(budget)
        and counts[burn.long][1] - counts[burn.long][0] >= minimum_failures
    )


def recordings(service: str, objectives: Sequence[Objective]) -> tuple[Recording, ...]:
    """What the alerts and the dashboard read, in the order in which one builds on the other."""
    found = [
        rule
        for objective in objectives
        for indicator in objective.indicators
        for rule in _counted(service, objective, indicator)
    ]
    ours = equal("service", service)
    for window, seconds in WINDOWS.items():
        if window != COUNTED:
            found += [
                # A minute without a sample counts as one without requests, as it does in a rate.
                Recording(
                    record=f"objective:{what}:rate{window}",
                    expression=f"sum_over_time({source}{{{ours}}}[{window}]) * {INTERVAL} / {seconds}",
                )
                for what in ("requests", "failures")
                for source in (f"objective:{what}:rate{COUNTED}",)
            ]
    for window in WINDOWS:
        failures, requests = (f"objective:{what}:rate{window}{{{ours}}}" for what in ("failures", "requests"))
        found.append(
            Recording(record=f"objective:failed:ratio_rate{window}", expression=f"{failures}\n/\n({requests} > 0)")
        )
    for days in sorted({objective.window.days for objective in objectives}):
        found.append(_left(service, days, objectives))
    return tuple(found)


def _counted(service: str, objective: Objective, indicator: Indicator) -> list[Recording]:
    labels = {"service": service, "objective": objective.name, "indicator": str(indicator)}
    if indicator is Indicator.AVAILABILITY:
        requests = _sum(service, objective, "http_requests_total")
        failed = _sum(service, objective, "http_requests_total", 'status=~"5.."')
        # Before the first failure there is no series of it, which is not to say that nothing is known.
        failures = f"{failed}\nor\n0 * {requests}"
    else:
        assert objective.latency is not None  # noqa: S101 - it has this indicator
        requests = _sum(service, objective, "http_request_duration_seconds_count")
        quick = _sum(service, objective, "http_request_duration_seconds_bucket", bound(objective.latency[1]))
        failures = f"clamp_min(\n  {requests}\n  -\n  {quick},\n  0\n)"
    budget = f"vector({objective.budget(indicator):g})"
    return [
        Recording(record="objective:budget:ratio", expression=budget, labels=labels),
        Recording(record=f"objective:requests:rate{COUNTED}", expression=requests, labels=labels),
        Recording(record=f"objective:failures:rate{COUNTED}", expression=failures, labels=labels),
    ]


def _sum(service: str, objective: Objective, metric: str, matcher: str = "") -> str:
    job = equal("job", service)
    rates = [f"rate({selector(metric, job, one, matcher)}[{COUNTED}])" for one in objective.matchers]
    return f"sum({' or '.join(rates)})"


def _left(service: str, days: int, objectives: Sequence[Objective]) -> Recording:
    """What is left of the budgets of all objectives with a window of so many days."""
    ours = equal("service", service)
    if any(objective.window.days != days for objective in objectives):
        names = [literal(objective.name) for objective in objectives if objective.window.days == days]
        ours = f"{ours},{among('objective', names)}"
    failures, requests = (
        f"sum_over_time(objective:{what}:rate{COUNTED}{{{ours}}}[{days}d])" for what in ("failures", "requests")
    )
    return Recording(
        record="objective:budget_left:ratio",
        expression=f"1 -\n{failures}\n/\n({requests} > 0)\n/\nobjective:budget:ratio{{{ours}}}",
        labels={"window": f"{days}d"},
    )
