"""Whether a process grows with requests that have nothing in common."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.children import Child, ChildError
from bench.layers import READY, failed, sinking, unavailable
from bench.model import Column, Head, Row, Table, ordered
from bench.registry import Peer
from bench.run import Run

_SHARE = 10
"""One request in so many comes before growth is looked at: whatever is bounded has its bound then."""
_MOST = 900.0
_YARDSTICK = "bare"
_MEGABYTE = 1e6


async def run(bench: Run) -> Table:
    """Send them to every contender, as many at a time as there are cores."""
    rows, taking = list[Row](), list[Peer]()
    for peer in bench.peers:
        if (row := unavailable(peer, "starlette")) is not None:
            rows.append(row)
        elif not peer.reference or peer.name == _YARDSTICK:
            taking.append(peer)
    tick, at_once = bench.bar(len(taking)), os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name, sinking(Path(name)) as sink:
        for start in range(0, len(taking), at_once):
            peers = taking[start : start + at_once]
            rows += _grown(peers, Path(name), sink, bench.plan.distinct)
            for _ in peers:
                tick()
    before = bench.plan.distinct // _SHARE
    return Table(
        head=Head(
            key="memory",
            title=f"Memory, {bench.plan.distinct:,} requests that have nothing in common",
            what="A Starlette app: half of the requests are for another id each, a quarter for another path each that "
            "isn't there, a quarter come by another method each; all have a request id and a trace of their own. "
            f"Growth of the process's resident memory from the {before:,}th to the last, in megabytes, and "
            "for each of them.",
        ),
        columns=(
            Column("before", f"MB after {before:,}", "per call"),
            Column("grown", "MB grown", "per call"),
            Column("each", "for each", "bytes"),
        ),
        rows=ordered(rows, "grown"),
        rank="grown",
    )


def _grown(peers: list[Peer], folder: Path, sink: str, requests: int) -> list[Row]:
    """How much each of them grows, all at once."""
    rows, running, first = list[Row](), list[tuple[Peer, Child]](), requests // _SHARE
    with ExitStack() as stack:
        for peer in peers:
            slug = peer.path.rpartition(".")[2]
            arguments = (peer.path, str(folder / slug), f"{sink}/{slug}")
            running.append((peer, stack.enter_context(Child("bench.contender", *arguments, folder=folder / slug))))
        told = dict[str, list[float]]()
        for asked in (0, first, requests - first):
            if asked:
                for _, child in running:
                    child.tell("distinct", requests=asked)
            for peer, child in list(running):
                try:
                    told.setdefault(peer.name, []).append(child.answer(_MOST if asked else READY))
                except ChildError as error:
                    rows.append(failed(peer, error))
                    running.remove((peer, child))
    for peer, _ in running:
        _, before, after = told[peer.name]
        figures = {
            "before": before / _MEGABYTE,
            "grown": (after - before) / _MEGABYTE,
            "each": (after - before) / (requests - first),
        }
        rows.append(Row(name=peer.name, figures=figures, reference=peer.reference, note=peer.note("memory")))
    return rows
