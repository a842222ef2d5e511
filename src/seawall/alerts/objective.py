"""How good a service has to be, and how much of what it may fail is left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from seawall.alerts.promql import among, equal, literal
from seawall.core import OptionError
from seawall.core.options import number

PROBES = r"/health(/.*)?|/metrics"
"""A regular expression for the routes of probes, which are no users."""

_ROUTE = re.compile(r"(?:([A-Z]+) )?(/[^\s*]*)(\*?)")
_PERIODS = (1, 90)
"""Days, at least and at most."""


class Indicator(StrEnum):
    """What is asked of a request."""

    AVAILABILITY = "availability"
    """That its answer is no 5xx. A client's own error, or one that left (499), is no failure of the service."""
    LATENCY = "latency"
    """That its answer is through in time."""


@dataclass(frozen=True)
class Objective:
    """How good some of a service's requests have to be.

        Objective("campaign copy", availability=99.9, latency=(0.95, 2.0), routes=["POST /api/v1/campaigns/{id}/copy"])

    availability: percent of requests that must not fail, above 0 and below 100.
    latency: the share of requests that must be through within so many seconds, which have to be a bucket's bound of
    `http_request_duration_seconds`. routes: templates, with a method in front or of all methods; `*` at the end stands
    for whatever follows. None: all routes but the probes. window: over which that holds, whole days.
    """

    name: str
    _: KW_ONLY
    availability: float = 99.9
    latency: tuple[float, float] | None = None
    routes: Sequence[str] = ()
    window: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        owner = f"objective {self.name!r}"
        if not isinstance(self.name, str) or not self.name.strip() or not self.name.isprintable():
            raise OptionError("Objective", "name", self.name, "words that tell what is promised")
        number(owner, "availability", self.availability, above=0)
        if self.availability >= 100:  # noqa: PLR2004
            allowed = "a number above 0 and below 100; what may never fail leaves no budget to watch"
            raise OptionError(owner, "availability", self.availability, allowed)
        if self.latency is not None:
            _check_latency(owner, self.latency)
        _check_routes(owner, self.routes)
        object.__setattr__(self, "routes", tuple(self.routes))
        days, rest = divmod(self.window, timedelta(days=1)) if isinstance(self.window, timedelta) else (0, None)
        if rest or not _PERIODS[0] <= days <= _PERIODS[1]:
            raise OptionError(owner, "window", self.window, "a timedelta of {} to {} whole days".format(*_PERIODS))

    @property
    def indicators(self) -> tuple[Indicator, ...]:
        """What is asked of its requests."""
        return (Indicator.AVAILABILITY,) if self.latency is None else tuple(Indicator)

    def budget(self, indicator: Indicator = Indicator.AVAILABILITY) -> float:
        """The share of requests that may fail: 0.001 of 99.9 percent."""
        if indicator is Indicator.AVAILABILITY:
            return round(1.0 - self.availability / 100.0, 12)
        if self.latency is None:
            raise OptionError(f"objective {self.name!r}", "latency", None, "a quantile and seconds, to have a budget")
        return round(1.0 - self.latency[0], 12)

    def matches(self, method: str, route: str) -> bool:
        """Whether a request of that method and route template counts."""
        if not self.routes:
            return re.fullmatch(PROBES, route) is None
        return any(
            wanted in {"", method} and re.fullmatch(pattern, route) is not None
            for wanted, pattern in map(_parsed, self.routes)
        )

    @property
    def matchers(self) -> tuple[str, ...]:
        """The same for Prometheus: label matchers, of which one has to hold."""
        if not self.routes:
            return (f'route!~"{PROBES}"',)
        by_method: dict[str, list[str]] = {}
        for text in self.routes:
            method, pattern = _parsed(text)
            by_method.setdefault(method, []).append(pattern)
        return tuple(
            ",".join([*([equal("method", method)] if method else []), among("route", patterns)])
            for method, patterns in by_method.items()
        )

    @property
    def example(self) -> tuple[str, str]:
        """A method and a route that count."""
        if not self.routes:
            return "GET", "/"
        found = _ROUTE.fullmatch(self.routes[0])
        assert found is not None  # noqa: S101 - it was checked
        return found[1] or "GET", found[2] + ("x" if found[3] else "")


def budget_left(
    objective: Objective, good: float, total: float, indicator: Indicator = Indicator.AVAILABILITY
) -> float:
    """The share of the error budget that is left after `total` requests of which `good` were: 1 untouched, 0 used up.

    Below 0 the objective is missed. Without requests nothing is used.
    """
    number("budget_left", "total", total, at_least=0)
    number("budget_left", "good", good, at_least=0, at_most=total)
    return 1.0 if total == 0 else 1.0 - (total - good) / total / objective.budget(indicator)


def _parsed(text: str) -> tuple[str, str]:
    """The method, or nothing, and a regular expression for the route."""
    found = _ROUTE.fullmatch(text)
    assert found is not None  # noqa: S101 - it was checked
    return found[1] or "", literal(found[2]) + (".*" if found[3] else "")


def _check_latency(owner: str, latency: Any) -> None:
    if not isinstance(latency, tuple) or len(latency) != 2:  # noqa: PLR2004
        raise OptionError(owner, "latency", latency, "a quantile and seconds, such as (0.95, 2.0)")
    quantile, seconds = latency
    number(owner, "latency quantile", quantile, above=0)
    if quantile >= 1:
        raise OptionError(owner, "latency quantile", quantile, "a number above 0 and below 1")
    number(owner, "latency seconds", seconds, above=0)


def _check_routes(owner: str, routes: Any) -> None:
    allowed = "a list of templates such as 'GET /podcasts/{id}', '/podcasts' or '/admin/*'"
    if isinstance(routes, str) or not isinstance(routes, Sequence):
        raise OptionError(owner, "routes", routes, allowed)
    for route in routes:
        if not isinstance(route, str) or not _ROUTE.fullmatch(route):
            raise OptionError(owner, "routes", route, allowed)
