"""Which share of a trace's requests a memory of 500 entries answers."""

import asyncio
import time
from collections.abc import Callable

from bench.cache_shape import Request
from bench.measure import describe
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.run import Run
from bench.speed import build
from bench.traces import TRACES, trace

SLOTS = 500
LRU, FIFO, LFU, THEINE = "LRU (OrderedDict)", "FIFO (OrderedDict)", "cachetools LFUCache", "theine"
_AT_MOST = 60.0


async def run(bench: Run) -> Table:
    """Send every trace through an empty cache of every policy."""
    built = await build(bench.peers, "policies", lambda factory: factory())
    traces = {name: trace(name, bench.plan.requests) for name in TRACES}
    rows, tick = [*built.rows], bench.bar(sum(map(len, built.calls.values())))
    for peer, policies in built.calls.items():
        for name, make in policies.items():
            try:
                shown = _shares(make, traces)
            except Exception as error:  # noqa: BLE001
                rows.append(Row(name=name, failed=describe(error)))
            else:
                known = bench.by_name[peer]
                rows.append(Row(name=name, figures=shown, reference=known.reference, note=known.note("policies")))
            tick()
            await asyncio.sleep(0)
    return Table(
        head=Head(
            key="hit_ratio",
            title=f"Hit ratio, {SLOTS} entries",
            what=f"{bench.plan.requests:,} requests of each trace, from empty; a miss is put there. zipf: exponent 1.0 "
            "over 50,000 keys; shifting: the same, ranks moved on ten times; web: two Zipfs by day and night with new "
            "pages each hour, one-hit wonders and crawlers; block: loops, a hot index and sequential scans "
            "(bench/traces.py). The time is that of a request of zipf, cache and all.",
        ),
        columns=(*(Column(name, name, "points") for name in TRACES), Column("took", "a request", "us")),
        rows=ordered(rows, "zipf", highest=True),
        rank="zipf",
    )


def _shares(make: Callable[[int], Request], traces: dict[str, list[int]]) -> dict[str, Figure]:
    shown: dict[str, Figure] = {}
    ends = time.monotonic() + _AT_MOST
    for name, keys in traces.items():
        request = make(SLOTS)
        began = time.perf_counter()
        hits = sum(map(request, keys))
        took = time.perf_counter() - began
        shown[name] = 100.0 * hits / len(keys)
        shown.setdefault("took", took / len(keys) * 1e6)
        if time.monotonic() > ends:
            break
    return shown
