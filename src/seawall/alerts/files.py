"""All files of a plan, made from nothing but the plan: the same plan gives the same text."""

from __future__ import annotations

from collections.abc import Iterable

from seawall.alerts import prometheus
from seawall.alerts.alertmanager import routing
from seawall.alerts.part_board import part_board
from seawall.alerts.plan import AlertPlan, MetricLike
from seawall.alerts.request_board import request_board
from seawall.alerts.runbook import runbook


def generate(plan: AlertPlan, metrics: Iterable[MetricLike]) -> dict[str, str]:
    """The texts by the names of their files, and the runbook under `runbook.md`.

    metrics: what the service counts; `AlertPlan.check` says what is asked of it, and raises `OptionError`.
    """
    plan.check(metrics)
    found = {"prometheus.yml": prometheus.configuration(plan), "alertmanager.yml": routing(plan)}
    for group in plan.groups:
        found[f"rules/{group.name}.yml"] = prometheus.rules(plan, group)
        found[f"tests/{group.name}.yml"] = prometheus.tests(plan, group)
    found["grafana/requests.json"] = request_board(plan).json()
    found["grafana/parts.json"] = part_board(plan).json()
    found[RUNBOOK] = runbook(plan)
    return found


RUNBOOK = "runbook.md"
"""Its name among the files."""
