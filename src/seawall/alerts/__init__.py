"""Alerts and dashboards as code: objectives, rules with their tests, routing, dashboards, and the runbook."""

from seawall.alerts.burn import BURNS, Burn, firing
from seawall.alerts.business import FewEvents, SlowWork
from seawall.alerts.files import RUNBOOK, generate
from seawall.alerts.objective import Indicator, Objective, budget_left
from seawall.alerts.options import Targets, Thresholds
from seawall.alerts.plan import AlertPlan, MetricLike
from seawall.alerts.rule import Alert, Case, Group, Recording, Severity, Shown

__all__ = [
    "BURNS",
    "RUNBOOK",
    "Alert",
    "AlertPlan",
    "Burn",
    "Case",
    "FewEvents",
    "Group",
    "Indicator",
    "MetricLike",
    "Objective",
    "Recording",
    "Severity",
    "Shown",
    "SlowWork",
    "Targets",
    "Thresholds",
    "budget_left",
    "firing",
    "generate",
]
