"""What rules, alerts and the cases that try them are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

NUMBER = '{{ printf "%.2f" $value }}'
"""In a description: the value with two decimals."""
PERCENT = "{{ $value | humanizePercentage }}"
"""In a description: a ratio as a percentage."""
_SHOWN: Mapping[str, Callable[[float], str]] = {
    NUMBER: lambda value: f"{value:.2f}",
    PERCENT: lambda value: f"{value * 100:.4g}%",
}


class Severity(StrEnum):
    """How soon somebody has to look."""

    PAGE = "page"
    """Now, also at night."""
    TICKET = "ticket"
    """In working hours."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An alert that a case expects: the labels of its series besides the alert's own, and the value it tells."""

    value: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Series of a minute's steps, in promtool's notation, and what an alert makes of them `at` so many seconds.

    shown: what fires; nothing where the alert has to be silent.
    """

    name: str
    series: Mapping[str, str]
    at: float = 1_800.0
    shown: tuple[Shown, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A query whose answer is kept as a series of its own."""

    record: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A query that must have no answer for longer than `held` seconds.

    meaning and action: what the runbook says. cases: each alert has one that fires and one that doesn't, at least.
    """

    name: str
    expression: str
    held: float
    severity: Severity
    summary: str
    description: str
    meaning: str
    action: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rules that belong together, in the order in which they are evaluated."""

    name: str
    title: str
    alerts: tuple[Alert, ...]
    recordings: tuple[Recording, ...] = ()


def percentage(ratio: float) -> str:
    """`90 %` of 0.9."""
    return f"{round(ratio * 100, 6):g} %"


def rendered(text: str, labels: Mapping[str, str], value: float) -> str:
    """A summary or description as Prometheus renders it."""
    for template, show in _SHOWN.items():
        text = text.replace(template, show(value))
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text)
