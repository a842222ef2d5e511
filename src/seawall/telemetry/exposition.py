"""Metrics as Prometheus reads them: its text format, or OpenMetrics with exemplars where that is asked for."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

from seawall.telemetry.metrics import Family, HistogramSeries, Kind, Metric, Metrics
from seawall.telemetry.shared import Totals

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def wants_open_metrics(accept: str) -> bool:
    """Whether an `Accept` header asks for OpenMetrics."""
    return "application/openmetrics-text" in accept


def expose(metrics: Metrics, *, open_metrics: bool = False, totals: Totals | None = None) -> bytes:
    """All of them. totals: of all processes, in place of this one's own; exemplars are this process's in any case."""
    lines: list[str] = []
    for family in sorted(metrics.families.values(), key=lambda family: family.metric.name):
        _family(lines, family, open_metrics=open_metrics, totals=totals)
    if refused := sum(family.refused for family in metrics.families.values()):
        name = "metrics_series_refused"
        lines.append(
            f"# HELP {name}{'' if open_metrics else '_total'} Label sets beyond the limit, counted as (other)."
        )
        lines.append(f"# TYPE {name}{'' if open_metrics else '_total'} counter")
        lines.append(f"{name}_total {refused}")
    if open_metrics:
        lines.append("# EOF")
    lines.append("")
    return "\n".join(lines).encode()


def _family(lines: list[str], family: Family[Any], *, open_metrics: bool, totals: Totals | None) -> None:
    metric = family.metric
    own = {series.labels: series for series in family}
    counted = {} if totals is None else totals.get(metric.name, {})
    every = own.keys() | counted.keys()
    if not every:
        return
    named = metric.name.removesuffix("_total") if open_metrics else metric.name
    lines.append(f"# HELP {named} {_escape(metric.help, quote=False)}")
    lines.append(f"# TYPE {named} {metric.kind}")
    for labels in sorted(every):
        series = own.get(labels)
        numbers = counted.get(labels)
        if numbers is None and series is not None:
            numbers = series.read(metric.width)
        if numbers is None or len(numbers) != metric.width or len(labels) != len(metric.labels):
            continue
        if metric.kind is Kind.HISTOGRAM:
            exemplars = series.exemplars if open_metrics and isinstance(series, HistogramSeries) else None
            _histogram(lines, _starts(family, labels), numbers, exemplars)
        else:
            lines.append(_starts(family, labels)[0] + _number(numbers[0]))


def _starts(family: Family[Any], labels: tuple[str, ...]) -> tuple[str, ...]:
    """How the lines of one series begin; put together once."""
    known = family.starts.get(labels)
    if known is None:
        known = family.starts[labels] = _begin(family.metric, labels)
    return known


def _begin(metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
    shown = ",".join(f'{name}="{_escape(value)}"' for name, value in zip(metric.labels, labels, strict=True))
    all_labels = f"{{{shown}}}" if shown else ""
    if metric.kind is not Kind.HISTOGRAM:
        return (f"{metric.name}{all_labels} ",)
    before = f'{metric.name}_bucket{{{shown}{"," if shown else ""}le="'
    buckets = [f'{before}{bound}"}} ' for bound in (*map(float, metric.buckets), "+Inf")]
    return (*buckets, f"{metric.name}_sum{all_labels} ", f"{metric.name}_count{all_labels} ")


def _histogram(
    lines: list[str],
    starts: tuple[str, ...],
    numbers: list[float],
    exemplars: dict[int, tuple[str, float]] | None,
) -> None:
    counts = [str(int(count)) for count in accumulate(numbers[:-1])]
    told = [start + count for start, count in zip(starts, counts, strict=False)]
    if exemplars:
        for place, (trace_id, value) in exemplars.copy().items():
            told[place] += f' # {{trace_id="{trace_id}"}} {_number(value)}'
    lines += told
    lines.append(starts[-2] + _number(numbers[-1]))
    lines.append(starts[-1] + counts[-1])


def _number(value: float) -> str:
    if value == math.inf:
        return "+Inf"
    if value == -math.inf:
        return "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - exact until there


def _escape(text: str, *, quote: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text
