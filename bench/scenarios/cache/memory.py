"""What an entry in memory takes."""

import asyncio
import gc
import os
import time
from pathlib import Path

from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.processes import run_all
from bench.registry import find
from bench.run import Run

_AT_MOST = 60.0
_WARM = 1_000
_LEAST = 8
"""Bytes an entry takes at the very least: a pointer."""


async def run(bench: Run) -> Table:
    """Fill every cache in a process of its own."""
    rows, tick = list[Row](), bench.bar(len(bench.peers))
    for peer in bench.peers:
        if peer.broken:
            rows.append(Row(name=peer.name, failed=peer.broken))
        elif peer.offer("full") is None:
            rows.append(Row(name=peer.name, absent=peer.reason("full"), reference=peer.reference))
        else:
            arguments = [(peer.path, bench.plan.entries)]
            (found,) = await asyncio.to_thread(run_all, filled, arguments, seconds=_AT_MOST)
            if isinstance(found, dict):
                name = "dict" if peer.reference else peer.name
                rows.append(Row(name=name, figures=found, reference=peer.reference, note=peer.note("full")))
            else:
                rows.append(Row(name=peer.name, failed=found or f"took longer than {_AT_MOST:g} s"))
        tick()
    return Table(
        head=Head(
            key="memory",
            title=f"Memory, {bench.plan.entries:,} entries",
            what="Growth of a process's resident memory per entry: a string key of about ten characters, made for the "
            "entry, and a small number that takes nothing. The time is that of filling it.",
        ),
        columns=(Column("bytes", "per entry", "bytes"), Column("took", "an entry", "us")),
        rows=ordered(rows, "bytes"),
        rank="bytes",
    )


def filled(path: str, count: int) -> dict[str, Figure]:
    """Fill the cache of the peer module at `path`; what that took. Runs in a process of its own."""
    full = find(path).full
    full(_WARM)
    gc.collect()
    before, began = _resident(), time.perf_counter()
    held = full(count)
    took = time.perf_counter() - began
    gc.collect()
    grown = _resident() - before
    if grown < count * _LEAST:
        message = f"it grew by {grown:,} bytes: it does not hold {count:,} entries"
        raise LookupError(message)
    del held
    return {"bytes": grown / count, "took": took / count * 1e6}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
