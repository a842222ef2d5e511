"""Open breaker: what a refusal costs, and whether refusals leave memory behind."""

import gc
import time
import tracemalloc

from bench.measure import Lap, Subject, awaiting, describe, interleave, refused
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.plan import Plan
from bench.run import Run
from bench.speed import BARE, COLUMNS, build, figures
from bench.subject import Dependency, bare, open_up

_HOUR = 3_600.0
_MOST_PER_LAP = 1_000
_MOST_GROWTH = 32 * 1024 * 1024


async def run(bench: Run) -> Table:
    """Open every breaker by failures, time the refusals, then let them come by the million."""
    dependencies = {peer.name: Dependency() for peer in bench.peers}
    built = await build(bench.peers, "breaker", lambda factory: factory)
    rows, opened = [*built.rows], {}
    for name, factory in built.calls.items():
        try:
            opened[name] = factory(dependencies[name].call, _HOUR)
            await open_up(opened[name], dependencies[name])
        except Exception as error:  # noqa: BLE001
            rows.append(Row(name=name, failed=describe(error)))
            opened.pop(name, None)
    subjects = [Subject(name=BARE, lap=awaiting(bare))]
    subjects += [Subject(name=name, lap=refused(call), most=_MOST_PER_LAP) for name, call in opened.items()]
    tick = bench.bar(bench.plan.rounds + len(opened))
    timings, failed = await interleave(subjects, bench.plan, tick)
    rows += [Row(name=name, failed=error) for name, error in failed.items()]
    for name, timing in timings.items():
        shown = figures(timing, timings[BARE])
        if name in opened:
            shown |= await _growth(refused(opened.pop(name)), timing.ns, bench.plan)
            tick()
        rows.append(Row(name=name, figures=shown, reference=name == BARE))
    return Table(
        head=Head(
            key="rejection",
            title="Open breaker, refused call",
            what="Async breaker opened by failures; the refusal is raised and caught. Growth is what tracemalloc still "
            f"holds after a collection, per refusal, over {bench.plan.growth_calls:,} refusals or as many as fit "
            f"{bench.plan.growth_seconds:g} s or {_MOST_GROWTH >> 20} MB.",
        ),
        columns=(*COLUMNS, Column("growth", "growth per refusal", "bytes"), Column("refusals", "over", "count")),
        rows=ordered(rows, "ratio"),
        rank="ratio",
        speed=True,
    )


async def _growth(lap: Lap, ns: float, plan: Plan) -> dict[str, Figure]:
    """Return the bytes that stay per refusal; tracing makes a call about four times as slow."""
    chunk = max(100, min(10_000, int(plan.growth_seconds * 1e9 / ns / 40)))
    made, grown = 0, 0
    tracemalloc.start()
    try:
        await lap(1_000)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        ends = time.perf_counter() + plan.growth_seconds
        while made < plan.growth_calls and grown < _MOST_GROWTH and time.perf_counter() < ends:
            step = min(chunk, plan.growth_calls - made)
            await lap(step)
            made += step
            grown = tracemalloc.get_traced_memory()[0] - before
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return {"growth": grown / made, "refusals": made}
