"""What the checks found, and what it means for the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from seawall.core import Health, Status


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found.

    critical: as in `Check`. seconds: how long the function took. checked_at: when it answered, in UTC.
    age: seconds between that and this report.
    """

    health: Health
    critical: bool
    seconds: float
    checked_at: datetime
    age: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """The health of the whole. message: which checks make it so. findings: by the names of the checks, as added."""

    status: Status
    message: str
    findings: Mapping[str, Finding]


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of them; healthy where there is none."""
    found = set(statuses)
    return next((status for status in reversed(Status) if status in found), Status.HEALTHY)


def report(findings: Mapping[str, Finding]) -> Report:
    """A check makes the whole as bad as itself, and one that is not critical degraded at worst."""
    status = worst(weight(finding) for finding in findings.values())
    ill = [
        f"{name} is {finding.health.status}"
        for name, finding in findings.items()
        if finding.health.status != Status.HEALTHY
    ]
    return Report(status=status, message=", ".join(ill), findings=findings)


def weight(finding: Finding) -> Status:
    """What a finding means for the whole."""
    ill = finding.health.status != Status.HEALTHY
    return Status.DEGRADED if ill and not finding.critical else finding.health.status
