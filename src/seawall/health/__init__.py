"""Checks of what a service depends on, and what they say of the whole. Needs no third-party package."""

from seawall.health.check import Check, CheckFunction
from seawall.health.events import HealthChanged
from seawall.health.health_checks import OVERALL, Change, HealthChecks
from seawall.health.report import Finding, Report
from seawall.health.system import configured_keys, disk_space, memory_space

__all__ = [
    "OVERALL",
    "Change",
    "Check",
    "CheckFunction",
    "Finding",
    "HealthChanged",
    "HealthChecks",
    "Report",
    "configured_keys",
    "disk_space",
    "memory_space",
]
