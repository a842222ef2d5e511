"""What to look at first, with the figures that say so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seawall.profiling.process import ProcessFigures
from seawall.profiling.series import Kind, Statistics
from seawall.profiling.stalls import Stall

CALLS = 100
"""Of fewer calls nothing is said."""
TAIL, TAIL_SECONDS = 10.0, 0.1
"""A tail is told of when p99 is this many times p50, and this many seconds at least."""
SLOW = 1.0
"""Seconds of p50 from which all calls are slow, and not some."""
FAILURES = 0.05
"""The share of calls that failed."""
BUSY, BUSY_SECONDS = 0.5, 0.01
"""An async function computes when it holds the loop for this share of its time, and for this many seconds a call."""
STALLED, STALLS = 1.0, 3
"""A stall is told of when it took this many seconds, or came this many times."""
GROWTH, GROWTH_SHARE, GROWTH_SECONDS = 2**20, 0.05, 300.0
"""Bytes a minute, the share of what there was before, and how long that was looked at, in seconds."""
FULL, FULL_SECONDS = 0.9, 60.0
"""The share of one core that the process uses, and how long that was looked at, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """Something to do. kind: a stable word. subject: what it is about. figures: what it follows from.

    cost: seconds that it is about, all calls together, by which recommendations are sorted; 0.0 where it isn't time.
    """

    kind: str
    subject: str
    text: str
    figures: Mapping[str, Any]
    cost: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"kind": self.kind, "subject": self.subject, "text": self.text, "figures": dict(self.figures)}


def recommend(
    statistics: Sequence[Statistics], process: ProcessFigures, stalls: Sequence[Stall]
) -> list[Recommendation]:
    """What follows from the figures: first what concerns the whole process, then what costs most time."""
    found = [_stalled(stall) for stall in stalls if stall.longest >= STALLED or stall.count >= STALLS]
    for one in statistics:
        if one.count >= CALLS:
            found += _of(one)
    return [*_of_process(process), *sorted(found, key=lambda each: -each.cost)]


def _of(one: Statistics) -> Iterator[Recommendation]:
    calls = f"{one.count:,} calls"
    if one.p99 >= TAIL_SECONDS and one.p99 >= TAIL * one.p50:
        times = f"{one.p99 / one.p50:,.0f} x p50" if one.p50 > 0 else "far above p50"
        yield Recommendation(
            kind="tail",
            subject=one.name,
            text=f"{one.name}: p99 is {times} ({_time(one.p99)} against {_time(one.p50)}) over {calls}: "
            "most calls are quick and some wait; look for a lock, a full pool, a cold cache, or a retry",
            figures={"count": one.count, "p50": one.p50, "p99": one.p99, "max": one.max},
            cost=one.count * 0.01 * one.p99,
        )
    if one.failures >= FAILURES * one.count:
        yield Recommendation(
            kind="failures",
            subject=one.name,
            text=f"{one.name}: {one.failures:,} of {calls} failed ({one.failures / one.count:.0%})",
            figures={"count": one.count, "failures": one.failures},
            cost=one.failures * one.avg,
        )
    if one.busy is not None and one.kind is Kind.ASYNC and _computes(one.busy, one):
        yield Recommendation(
            kind="computes",
            subject=one.name,
            text=f"{one.name}: holds the event loop for {_time(one.busy / one.count)} a call, "
            f"{one.busy / one.total:.0%} of its time, over {calls}: everybody else waits meanwhile; "
            "move that work to a thread or a process",
            figures={"count": one.count, "busy": one.busy, "total": one.total},
            cost=one.busy,
        )
    elif one.p50 >= SLOW:
        yield Recommendation(
            kind="slow",
            subject=one.name,
            text=f"{one.name}: half of {calls} take {_time(one.p50)} or longer{_mostly(one)}",
            figures={"count": one.count, "p50": one.p50, "p95": one.p95, "busy": one.busy},
            cost=one.total,
        )


def _computes(busy: float, one: Statistics) -> bool:
    return busy >= BUSY * one.total and busy / one.count >= BUSY_SECONDS


def _mostly(one: Statistics) -> str:
    if one.busy is None:
        return "; measure the functions below it"
    working = one.busy >= BUSY * one.total
    told = "a CPU profile shows where" if working else "measure what it waits for"
    return f", {one.busy / one.total:.0%} of it at work; {told}"


def _stalled(stall: Stall) -> Recommendation:
    share = stall.cpu / stall.total if stall.total > 0 else 0.0
    why = (
        "it computes: move it to a thread or a process"
        if share >= BUSY
        else "it waits for something: await it, or move it to a thread"
    )
    often = "once" if stall.count == 1 else f"{stall.count:,} times"
    at = stall.stack[-1] if stall.stack else "an unknown place"
    return Recommendation(
        kind="stall",
        subject=at,
        text=f"the event loop was held {often}, {_time(stall.longest)} at most, by {at}; {share:.0%} of it on the CPU: "
        + why,
        figures={"count": stall.count, "longest": stall.longest, "total": stall.total, "cpu": stall.cpu},
        cost=stall.total,
    )


def _of_process(process: ProcessFigures) -> Iterator[Recommendation]:
    growth = process.growth
    grown = process.memory - process.memory_before
    if (
        growth is not None
        and process.growing
        and process.over >= GROWTH_SECONDS
        and growth >= GROWTH
        and grown >= GROWTH_SHARE * process.memory_before
    ):
        yield Recommendation(
            kind="memory",
            subject="process",
            text=f"memory grows by {growth / 2**20:.1f} MB/min: {process.memory_before / 2**20:,.0f} MB became "
            f"{process.memory / 2**20:,.0f} MB in {process.over / 60:.0f} minutes; a memory profile shows "
            "by which lines",
            figures={"growth": growth, "memory": process.memory, "before": process.memory_before, "over": process.over},
        )
    if process.cpu_share is not None and process.cpu_share >= FULL and process.over >= FULL_SECONDS:
        yield Recommendation(
            kind="cpu",
            subject="process",
            text=f"the process uses {process.cpu_share:.0%} of a core over {process.over / 60:.0f} minutes: "
            "add workers, or look at a CPU profile for what to do less often",
            figures={"cpu_share": process.cpu_share, "over": process.over},
        )


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.2g} ms"  # noqa: PLR2004
