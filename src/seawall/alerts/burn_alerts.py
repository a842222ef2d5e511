"""The alerts on objectives, and traffic that tries them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from seawall.alerts.burn import BURNS, WINDOWS, Burn, recordings
from seawall.alerts.objective import Indicator, Objective
from seawall.alerts.promql import equal, equals, selector
from seawall.alerts.rule import PERCENT, Alert, Case, Group, Shown
from seawall.core import OptionError

_PER_MINUTE = 6_000_000.0
_STEPS = 60
_AT = 1_200.0
_NUDGES = (1.0, 1.03, 0.97, 1.06, 0.94, 1.09, 0.91, 1.12, 0.88)
"""By how much traffic may be moved away from where another objective's alert begins to fire."""


def burn_group(service: str, objectives: Sequence[Objective], minimum_failures: int) -> Group:
    """Recording rules and burn-rate alerts for all objectives of a service."""
    return Group(
        name="objectives",
        title="Objectives and their error budgets",
        recordings=recordings(service, objectives),
        alerts=tuple(_alert(service, burn, objectives, minimum_failures) for burn in BURNS),
    )


def _alert(service: str, burn: Burn, objectives: Sequence[Objective], minimum_failures: int) -> Alert:
    ours = equal("service", service)

    def burns(window: str) -> str:
        failed = f"objective:failed:ratio_rate{window}{{{ours}}}"
        return f"{failed}\n> clamp_max({burn.factor:g} * objective:budget:ratio{{{ours}}}, 0.95)"

    times = "" if burn.factor == 1 else f"{burn.factor:g} times "
    faster = f"more than {times}as fast as it may be" if times else "faster than it may be"
    failures = f"objective:failures:rate{burn.long}{{{ours}}} * {WINDOWS[burn.long]}"
    return Alert(
        name=burn.name,
        expression=f"{burns(burn.long)}\nand\n{burns(burn.short)}\nand\n{failures} >= {minimum_failures}",
        held=burn.held,
        severity=burn.severity,
        summary="{{ $labels.objective }}: the error budget ({{ $labels.indicator }}) is used up " + faster,
        description=f"{PERCENT} of requests failed or were late within {burn.long}, and it still goes on. "
        "See which routes and statuses fail, and what changed when it began.",
        meaning=f"The share of requests that fail (`availability`) or are late (`latency`) is above {times}"
        f"the objective's budget, both over {burn.long} and over {burn.short}. {burn.means}",
        action="Open the dashboard, choose the objective's routes, and see which status or which dependency it is: "
        "breakers, database, cache. Undo the last change if it began with one. An alert with fewer than "
        f"{minimum_failures} failures in {burn.long} stays silent.",
        cases=tuple(_cases(service, burn, objectives, minimum_failures)),
    )


def _cases(service: str, burn: Burn, objectives: Sequence[Objective], minimum_failures: int) -> Iterator[Case]:
    """The same traffic for every alert, so that each is seen firing alone and with the more urgent ones."""
    thorough = set(Indicator)
    for objective in objectives:
        for indicator in objective.indicators:
            shares = _shares(objectives, objective, indicator)
            if indicator not in thorough:
                shares = [shares[0], shares[-1]]
            thorough.discard(indicator)
            for share in shares:
                failures, good = _steady(share * _PER_MINUTE), _steady((1.0 - share) * _PER_MINUTE)
                times = share / objective.budget(indicator)
                yield Case(
                    name=f"{objective.name}, {indicator}: {times:.3g} times the budget",
                    series=_traffic(service, objectives, objective, indicator, failures, good),
                    at=_AT,
                    shown=tuple(_shown(burn, objectives, objective, indicator, share)),
                )
    if objectives:
        yield from _quiet(service, objectives, minimum_failures)
        yield from _over(service, burn, objectives)


def _quiet(service: str, objectives: Sequence[Objective], minimum_failures: int) -> Iterator[Case]:
    """Failures that nobody is to be told of."""
    first = objectives[0]
    few = minimum_failures - 1
    counts = " ".join(map(str, range(few + 1))) + f" {few}x{_STEPS}"
    yield Case(
        name=f"{first.name}: {few} failures are too few to tell",
        series=_traffic(service, objectives, first, Indicator.AVAILABILITY, counts, f"0x{_STEPS}"),
        at=_AT,
    )


def _over(service: str, burn: Burn, objectives: Sequence[Objective]) -> Iterator[Case]:
    """All failed for an hour: the long window still knows, the short one that it is over."""
    first = objectives[0]
    if burn is BURNS[0] and burn.threshold(first.budget()) < 0.8:  # noqa: PLR2004 - five sixths of the hour failed
        failures = f"{_steady(_PER_MINUTE)} {_PER_MINUTE * _STEPS:.0f}x20"
        good = f"0x{_STEPS} {_steady(_PER_MINUTE)}"
        yield Case(
            name=f"{first.name}: all failed for an hour, and it is over",
            series=_traffic(service, objectives, first, Indicator.AVAILABILITY, failures, good),
            at=(_STEPS + 10) * 60.0,
        )


def _shares(objectives: Sequence[Objective], objective: Objective, indicator: Indicator) -> list[float]:
    """Shares of failures: below every alert's threshold, between each two, and above all; near no objective's."""
    steps = sorted({burn.threshold(objective.budget(indicator)) for burn in BURNS})
    wanted = [steps[0] / 1.25, *(math.sqrt(low * high) for low, high in pairwise(steps)), min(1.0, steps[-1] * 1.25)]
    rivals = [
        burn.threshold(other.budget(indicator))
        for other in objectives
        if indicator in other.indicators
        for burn in BURNS
    ]
    return [_apart(share, rivals) for share in wanted]


def _apart(share: float, rivals: Sequence[float]) -> float:
    for nudge in _NUDGES:
        found = min(1.0, float(f"{share * nudge:.3g}"))
        if all(abs(found / rival - 1.0) > 0.01 for rival in rivals):  # noqa: PLR2004
            return found
    raise OptionError("AlertPlan", "objectives", tuple(rivals), "budgets that are equal or differ by more than 5 %")


def _traffic(
    service: str, objectives: Sequence[Objective], tried: Objective, indicator: Indicator, failures: str, good: str
) -> dict[str, str]:
    """Requests of an objective's example route, of which some fail."""
    method, route = tried.example
    labels = equals({"job": service, "method": method, "route": route})
    if indicator is Indicator.AVAILABILITY:
        return {
            selector("http_requests_total", labels, 'status="500"'): failures,
            selector("http_requests_total", labels, 'status="200"'): good,
        }
    metric = "http_request_duration_seconds"
    bounds = sorted({objective.latency[1] for objective in objectives if objective.latency is not None})
    return {
        selector(f"{metric}_count", labels): _steady(_PER_MINUTE),
        **{selector(f"{metric}_bucket", labels, equal("le", f"{seconds:g}")): good for seconds in bounds},
        selector(f"{metric}_bucket", labels, equal("le", "+Inf")): _steady(_PER_MINUTE),
    }


def _steady(per_minute: float) -> str:
    step = f"{per_minute:.6f}".rstrip("0").rstrip(".")
    return f"0+{step}x{_STEPS}"


def _shown(
    burn: Burn, objectives: Sequence[Objective], tried: Objective, indicator: Indicator, share: float
) -> Iterator[Shown]:
    """What traffic of one objective's route makes fire: that objective, and others that count the route too."""
    for objective in objectives:
        if (
            indicator in objective.indicators
            and objective.matches(*tried.example)
            and share > burn.threshold(objective.budget(indicator))
        ):
            yield Shown(value=share, labels={"objective": objective.name, "indicator": str(indicator)})
