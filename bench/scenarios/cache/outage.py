"""The server stops answering under load, and goes on."""

import asyncio
from statistics import median
from typing import Any

from bench.crowds import contenders
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.processes import run_all
from bench.run import Run
from bench.siege import siege
from seawall.testing.valkey import Valkey

_AROUND = 24.0


async def run(bench: Run) -> Table:
    """Do it to every peer, each with a server and a process of its own."""
    able, rows = contenders(bench, local=False)
    outage, times = bench.plan.outage, bench.plan.outages
    tick = bench.bar(len(able) * times)
    found: dict[str, list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    for peer in able * times:
        if peer.name not in failed:
            with Valkey() as valkey:
                arguments = [(peer.path, valkey.url, valkey.pid, outage)]
                (figures,) = await asyncio.to_thread(run_all, siege, arguments, seconds=outage + _AROUND)
            if isinstance(figures, dict):
                found.setdefault(peer.name, []).append(figures)
            else:
                failed[peer.name] = figures or "hung"
        tick()
    for peer in able:
        if peer.name in failed:
            rows.append(Row(name=peer.name, failed=failed[peer.name]))
        else:
            figures, error = together(found[peer.name])
            note = "; ".join(filter(None, (peer.note("shared"), error)))
            rows.append(Row(name=peer.name, figures=figures, reference=peer.reference, note=note))
    return Table(
        head=Head(
            key="outage",
            title=f"Valkey stopped for {outage:g} s",
            what="20 tasks call a cached function whose load takes no time, for a hot key and a new one in turn; then "
            "Valkey is stopped (SIGSTOP: connections stay open, nothing answers) and later goes on. Added is what the "
            "99th percentile is above the one before: the first calls are those under way or begun within 0.1 s, "
            "the later ones begun after that; a stall as long as the outage was ended by it. The load itself, called "
            "in a task by the same callers during the outage, shows how long loop and machine kept anybody "
            "waiting. Converged: from SIGCONT until two instances both see a value that one of them set during the "
            "outage; – where that takes longer than 5 s or can't be done. "
            f"Latencies are medians of {times} outages, errors and convergence the worst.",
        ),
        columns=(
            Column("usual", "p99 before", "ms"),
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


def together(sieges: list[dict[str, Any]]) -> tuple[dict[str, Figure], str]:
    """The figures of several outages as one, and the errors that were seen."""
    figures: dict[str, Figure] = {}
    for name in ("usual", "control", "first", "later", "calls"):
        known = [siege[name] for siege in sieges if siege[name] is not None]
        figures[name] = median(known) if known else None
    converged = [siege["converged"] for siege in sieges]
    figures["errors"] = max(siege["errors"] for siege in sieges)
    figures["converged"] = None if None in converged else max(converged)
    return figures, ", ".join(sorted({siege["error"] for siege in sieges if siege["error"]}))
