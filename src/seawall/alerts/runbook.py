"""The runbook: every alert, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.alerts.plan import AlertPlan
from seawall.alerts.promql import duration
from seawall.alerts.rule import Alert


def runbook(plan: AlertPlan) -> str:
    """A page of Markdown, with a heading for each alert to which the alert points."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: AlertPlan) -> Iterator[str]:
    yield f"# Alerts of {plan.service}"
    yield ""
    yield "<!-- Written by `seawall alerts`; change the declarations, not this page. -->"
    yield ""
    yield "`page` wants somebody now, `ticket` in working hours. An alert fires when its query has had an answer for as"
    yield "long as it says. One on something that the service doesn't use stays silent."
    yield ""
    yield "| alert | group | severity | after | means |"
    yield "|---|---|---|---|---|"
    for group in plan.groups:
        for alert in group.alerts:
            link = f"[{alert.name}](#{alert.name.lower()})"
            meaning = alert.meaning.replace("|", "\\|")
            yield f"| {link} | {group.name} | {alert.severity} | {duration(alert.held)} | {meaning} |"
    if plan.objectives:
        yield from _objectives(plan)
    for group in plan.groups:
        yield ""
        yield f"## {group.title}"
        for alert in group.alerts:
            yield from _alert(alert)


def _objectives(plan: AlertPlan) -> Iterator[str]:
    yield ""
    yield "## What is promised"
    yield ""
    yield "| objective | available | in time | within | requests |"
    yield "|---|---|---|---|---|"
    for objective in plan.objectives:
        latency = objective.latency
        in_time = "" if latency is None else f"{latency[0] * 100:g} % in {latency[1]:g} s"
        routes = ", ".join(f"`{route}`" for route in objective.routes) or "all but probes"
        available = f"{objective.availability:g} %"
        yield f"| {objective.name} | {available} | {in_time} | {objective.window.days} days | {routes} |"
    yield ""
    yield "Prometheus records, with the labels `service`, `objective` and `indicator` (`availability`, `latency`):"
    yield "`objective:requests:rate5m`, `objective:failures:rate5m` and `objective:failed:ratio_rate5m`, the same over"
    yield "30m, 1h, 2h, 6h, 1d and 3d, `objective:budget:ratio`, and `objective:budget_left:ratio`: 1 untouched, 0 used"
    yield "up, below 0 missed."


def _alert(alert: Alert) -> Iterator[str]:
    yield ""
    yield f"### {alert.name}"
    yield ""
    yield f"**{alert.severity}** after {duration(alert.held)}. {alert.meaning}"
    yield ""
    yield f"What to do: {alert.action}"
    yield ""
    yield "```promql"
    yield alert.expression
    yield "```"
