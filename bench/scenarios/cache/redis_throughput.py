"""Gets from Redis by many tasks: how many a second, and how long each takes."""

import asyncio
import gc
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from itertools import count
from statistics import median
from typing import Any

from bench.cache_shape import KEYS, VALUE, Get, Reading
from bench.measure import describe
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.run import Run
from bench.speed import build
from seawall.testing.valkey import Valkey

REDIS_PY = "redis-py"
TASKS = 50
_AT_MOST = 20.0
_MOST_GETS = 50_000
_FIRST_GETS = 500


async def run(bench: Run) -> Table:
    """Let every contender get for a moment in each round, all against one server."""
    names = [f"key:{number}" for number in range(KEYS)]
    entries = dict.fromkeys(names, VALUE)
    databases = count()
    with Valkey() as valkey:
        async with AsyncExitStack() as stack:

            async def enter(factory: Any) -> Get:
                reading: Reading = await stack.enter_async_context(
                    factory(f"{valkey.url[:-1]}{next(databases)}", entries)
                )
                answer = reading.unwrap(await reading.get(names[0]))
                if answer != VALUE:
                    message = f"returned {answer!r:.40}"
                    raise LookupError(message)
                return reading.get

            built = await build(bench.peers, "redis_get", enter)
            laps, failed = await _interleave(built.calls, names, bench)
    rows = [*built.rows, *(Row(name=name, failed=error) for name, error in failed.items())]
    reference = laps.get(REDIS_PY)
    for name, mine in laps.items():
        rows.append(
            Row(
                name=name,
                figures=_figures(mine, reference),
                reference=bench.by_name[name].reference,
                note=bench.by_name[name].note("redis_get"),
            )
        )
    return Table(
        head=Head(
            key="redis_throughput",
            title=f"Gets from Redis, {TASKS} tasks",
            what=f"{TASKS} tasks, each awaiting one get after the other: {len(VALUE)}-byte values under {KEYS:,} "
            "keys of a Valkey on this machine, nothing in memory; wall time. × is the median of the quotients with "
            "redis-py in the same round.",
        ),
        columns=(
            Column("rate", "gets/s", "count"),
            Column("ratio", "× redis-py", "ratio"),
            Column("p50", "p50", "ms"),
            Column("p50_ratio", "p50 × redis-py", "ratio"),
            Column("p99", "p99", "ms"),
        ),
        rows=ordered(rows, "rate", highest=True),
        rank="rate",
    )


Lap = tuple[float, float, float]
"""Gets a second, and the median and the 99th percentile of the latency in milliseconds."""


async def _interleave(
    gets: Mapping[str, Get], names: list[str], bench: Run
) -> tuple[dict[str, list[Lap]], dict[str, str]]:
    tick = bench.bar(bench.plan.rounds)
    laps: dict[str, list[Lap]] = {name: [] for name in gets}
    failed: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, get in gets.items():
        try:
            rate, _, _ = await _lap(get, names, _FIRST_GETS)
            counts[name] = max(_FIRST_GETS, min(_MOST_GETS, int(rate * bench.plan.burst)))
        except Exception as error:  # noqa: BLE001  a broken contender becomes a line in the table
            failed[name] = describe(error)
    for number in range(bench.plan.rounds):
        running = [name for name in gets if name not in failed]
        shift = number % max(1, len(running))
        for name in running[shift:] + running[:shift]:
            try:
                laps[name].append(await _lap(gets[name], names, counts[name]))
            except Exception as error:  # noqa: BLE001
                failed[name] = describe(error)
        tick()
    return {name: mine for name, mine in laps.items() if name not in failed}, failed


async def _lap(get: Get, names: list[str], gets: int) -> Lap:
    latencies: list[float] = []
    clock, each = time.perf_counter, gets // TASKS

    async def task(first: int) -> None:
        for number in range(first, first + each):
            began = clock()
            await get(names[number % KEYS])
            latencies.append(clock() - began)

    gc.collect()
    gc.disable()
    try:
        began = clock()
        async with asyncio.timeout(_AT_MOST):
            await asyncio.gather(*(task(number * KEYS // TASKS) for number in range(TASKS)))
        took = clock() - began
    finally:
        gc.enable()
    latencies.sort()
    return len(latencies) / took, median(latencies) * 1e3, latencies[len(latencies) * 99 // 100] * 1e3


def _figures(mine: list[Lap], reference: list[Lap] | None) -> dict[str, Figure]:
    rates, halves, tails = zip(*mine, strict=True)
    shown: dict[str, Figure] = {"rate": median(rates), "p50": median(halves), "p99": median(tails)}
    if reference:
        pairs = list(zip(mine, reference, strict=True))
        shown["ratio"] = median(one[0] / other[0] for one, other in pairs)
        shown["p50_ratio"] = median(one[1] / other[1] for one, other in pairs)
    return shown
