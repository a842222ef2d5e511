"""The server stops answering under load, and goes on."""

import asyncio

from bench.crowds import contenders
from bench.model import Column, Head, Row, Table, ordered
from bench.processes import run_all
from bench.run import Run
from bench.siege import siege
from seawall.testing.valkey import Valkey

_AROUND = 24.0


async def run(bench: Run) -> Table:
    """Do it to every peer, each with a server and a process of its own."""
    able, rows = contenders(bench, local=False)
    tick, outage = bench.bar(len(able)), bench.plan.outage
    for peer in able:
        with Valkey() as valkey:
            arguments = [(peer.path, valkey.url, valkey.pid, outage)]
            (found,) = await asyncio.to_thread(run_all, siege, arguments, seconds=outage + _AROUND)
        if isinstance(found, dict):
            note = "; ".join(filter(None, (peer.note("shared"), found["error"])))
            rows.append(Row(name=peer.name, figures=found, reference=peer.reference, note=note))
        else:
            rows.append(Row(name=peer.name, failed=found or "hung"))
        tick()
    return Table(
        head=Head(
            key="outage",
            title=f"Valkey stopped for {outage:g} s",
            what="20 tasks call a cached function whose load takes no time, for a hot key and a new one in turn; then "
            "Valkey is stopped (SIGSTOP: connections stay open, nothing answers) and later goes on. Added is what the "
            "99th percentile is above the median before: the first calls are those under way or begun within 0.1 s, "
            "the later ones begun after that; a stall as long as the outage was ended by it. The load itself, called "
            "in a task by the same callers during the outage, shows how long loop and machine kept anybody "
            "waiting. Converged: from SIGCONT until two instances both see a value that one of them set during the "
            "outage; – where that takes longer than 5 s or can't be done.",
        ),
        columns=(
            Column("usual", "p50 before", "ms"),
            Column("control", "the load itself, p99", "ms"),
            Column("first", "first calls, p99 added", "ms"),
            Column("later", "later calls, p99 added", "ms"),
            Column("calls", "answered meanwhile", "count"),
            Column("errors", "errors", "count"),
            Column("converged", "converged", "seconds"),
        ),
        rows=ordered(rows, "first"),
        rank="first",
    )
