"""A dependency that dies under load: how many calls still reach it."""

import asyncio
import time

from bench.measure import describe
from bench.model import Column, Head, Row, Table, ordered
from bench.run import Run
from bench.shape import ATTEMPTS, LIMIT
from bench.speed import build
from bench.subject import Dependency

_FAILS_AFTER = 0.001
_AT_MOST = 20.0


async def run(bench: Run) -> Table:
    """Let all callers go at once and count at the dependency."""
    built = await build(bench.peers, "dead_dependency", lambda factory: factory)
    rows, tick = [*built.rows], bench.bar(max(1, len(built.calls)))
    for name, factory in built.calls.items():
        dependency = Dependency(healthy=False, takes=_FAILS_AFTER)
        started = time.monotonic()
        try:
            call = factory(dependency.call)
            callers = asyncio.gather(*(call(1) for _ in range(bench.plan.callers)), return_exceptions=True)
            await asyncio.wait_for(callers, _AT_MOST)
        except Exception as error:  # noqa: BLE001
            rows.append(Row(name=name, failed=describe(error)))
        else:
            shown = {
                "load": dependency.calls / bench.plan.callers,
                "calls": dependency.calls,
                "first_wave": dependency.before_first_answer,
                "peak": dependency.peak,
                "seconds": time.monotonic() - started,
            }
            rows.append(Row(name=name, figures=shown, note=bench.by_name[name].note("dead_dependency")))
        tick()
    return Table(
        head=Head(
            key="dead_dependency",
            title=f"Dead dependency, {bench.plan.callers:,} callers × {ATTEMPTS} attempts",
            what=f"{bench.plan.callers:,} concurrent callers of a dependency that fails after about "
            f"{_FAILS_AFTER * 1e3:g} ms; "
            f"retry of {ATTEMPTS} attempts, breaker and a bulkhead of {LIMIT} where the library has them.",
        ),
        columns=(
            Column("load", "calls per caller", "ratio"),
            Column("calls", "calls that reached it", "count"),
            Column("first_wave", "before the first failure", "count"),
            Column("peak", "peak concurrency", "count"),
            Column("seconds", "took", "seconds"),
        ),
        rows=ordered(rows, "load"),
        rank="load",
    )
