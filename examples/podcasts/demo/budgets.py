"""What the day has cost of the error budgets, and which alerts would fire; from the service's own metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import httpx2
from rich.table import Table
from rich.text import Text

from podcasts.objectives import PLAN
from seawall.alerts import BURNS, Indicator, Objective, budget_left, firing

_SAMPLE = re.compile(r'(http_request\w+)\{method="([^"]*)",route="([^"]*)",(status|le)="([^"]*)"\} (\S+)')
Sample = tuple[str, str, str, str, float]
"""The metric, the method, the route, the status or bucket, and the count."""


async def budgets(url: str) -> Table | Text:
    """A row for each objective, by what the service at `url` has counted since it was started."""
    async with httpx2.AsyncClient(base_url=url, timeout=5.0) as client:
        try:
            text = (await client.get("/metrics")).text
        except httpx2.TransportError:
            return Text("The service is gone, so there are no figures of its objectives.", "dim")
    return table(list(_samples(text)))


def table(samples: Iterable[Sample]) -> Table:
    """The rows. An alert needs hours; here the whole day counts as each of its windows."""
    samples = list(samples)
    shown = Table(title="objectives", title_justify="left", border_style="dim")
    for heading in ("objective", "promised", "requests", "missed", "budget left", "would fire"):
        shown.add_column(heading, justify="left" if heading in {"objective", "promised", "would fire"} else "right")
    for objective in PLAN.objectives:
        for indicator in objective.indicators:
            good, total = count(objective, indicator, samples)
            left = budget_left(objective, good, total, indicator)
            windows = {window: (good, total) for burn in BURNS for window in (burn.long, burn.short)}
            fires = firing(objective, windows, indicator)
            alert = Text(fires[0].name, "red") if fires else Text("none", "green")
            budget = Text(f"{left:.0%}", "green" if left > 0.5 else "yellow" if left > 0 else "bold red")
            promised = _promised(objective, indicator)
            shown.add_row(objective.name, promised, f"{total:.0f}", f"{total - good:.0f}", budget, alert)
    return shown


def count(objective: Objective, indicator: Indicator, samples: Iterable[Sample]) -> tuple[float, float]:
    """Its good requests, and all of them."""
    mine = [sample for sample in samples if objective.matches(sample[1], sample[2])]
    if indicator is Indicator.AVAILABILITY or objective.latency is None:
        asked = [sample for sample in mine if sample[0] == "http_requests_total"]
        return sum(sample[4] for sample in asked if sample[3][0] != "5"), sum(sample[4] for sample in asked)
    buckets = [sample for sample in mine if sample[0] == "http_request_duration_seconds_bucket"]
    good = sum(sample[4] for sample in buckets if sample[3] == str(float(objective.latency[1])))
    return good, sum(sample[4] for sample in buckets if sample[3] == "+Inf")


def _promised(objective: Objective, indicator: Indicator) -> str:
    if indicator is Indicator.AVAILABILITY or objective.latency is None:
        return f"{objective.availability:g} % answered"
    return f"{objective.latency[0] * 100:g} % in {objective.latency[1]:g} s"


def _samples(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found is not None:
            yield found[1], found[2], found[3], found[5], float(found[6])
