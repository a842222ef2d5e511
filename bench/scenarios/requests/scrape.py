"""What it takes to tell Prometheus the metrics of several processes."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.children import Child, ChildError
from bench.layers import READY, failed, unavailable
from bench.model import Column, Head, Row, Table, ordered
from bench.registry import Peer
from bench.requests_shape import BUCKETS, ROUTES, WORKERS, counts
from bench.run import Run

_MOST = 60.0
_LATER = 7
"""Rounds at most when workers have gone."""
_HEAD = Head(
    key="scrape",
    title=f"A scrape of {WORKERS} processes with {2 * ROUTES:,} series each",
    what=f"{ROUTES} counters and {ROUTES} histograms of {len(BUCKETS)} buckets, the same in each process, of which "
    "one is asked again and again; what it tells must be the sum. First: the first time. Then workers come, count, "
    "and go. Wall time, medians over the rounds, in which all take turns.",
)


class _TotalError(Exception):
    """A scrape did not tell what was counted."""


@dataclass
class _Workers:
    """The processes of one contender."""

    peer: Peer
    folder: Path
    children: list[Child]
    first: float = 0.0
    gone: int = 0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def metrics(self) -> Path:
        """Where they count."""
        return self.folder / "metrics"

    def scrape(self) -> dict[str, Any]:
        """Ask the first of them; raise `_TotalError` when it does not tell what all have counted."""
        took: dict[str, Any] = self.children[0].ask("scrape", within=_MOST)
        expected = (len(self.children) + self.gone) * sum(number for number, _ in counts().values())
        if took["total"] != expected:
            raise _TotalError(f"told {took['total']:,.0f} of {expected:,}")
        return took

    def start(self) -> Child:
        """One more, that counts."""
        child = Child("bench.counted", self.peer.path, str(self.metrics), folder=self.folder / "output")
        self.metrics.mkdir(parents=True, exist_ok=True)
        return child


async def run(bench: Run) -> Table:
    """Ask every contender."""
    later = min(_LATER, bench.plan.rounds)
    rows, running, tick = list[Row](), list[_Workers](), bench.bar(bench.plan.rounds + later)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        for peer in bench.peers:
            if (row := unavailable(peer, "counting")) is not None:
                rows.append(row)
                continue
            workers = _Workers(peer, folder / peer.path.rpartition(".")[2], [])
            try:
                _begin(workers, stack)
                running.append(workers)
            except (ChildError, _TotalError) as error:
                rows.append(failed(peer, error))
        for number in range(bench.plan.rounds + later):
            if number == bench.plan.rounds:
                _recycle(running, rows, bench.plan.recycled)
            shift = number % max(1, len(running))
            for workers in running[shift:] + running[:shift]:
                try:
                    took = workers.scrape()
                except (ChildError, _TotalError) as error:
                    rows.append(failed(workers.peer, error))
                    running.remove(workers)
                    continue
                if number < bench.plan.rounds:
                    workers.wall.append(took["wall"])
                    workers.cpu.append(took["cpu"])
                else:
                    workers.later.append(took["wall"])
            tick()
        rows += [_row(workers) for workers in running]
    return Table(
        head=_HEAD,
        columns=(
            Column("first", "first", "ms"),
            Column("ms", "a scrape", "ms"),
            Column("cpu", "CPU", "ms"),
            Column("later", f"after {bench.plan.recycled} more have gone", "ms"),
            Column("files", "files then", "count"),
            Column("kilobytes", "kB then", "count"),
        ),
        rows=ordered(rows, "ms"),
        rank="ms",
    )


def _begin(workers: _Workers, stack: ExitStack) -> None:
    for _ in range(WORKERS):
        workers.children.append(stack.enter_context(workers.start()))
    for child in workers.children:
        child.answer(READY)
    took = workers.scrape()
    workers.first, workers.size = took["wall"], took["bytes"]


def _recycle(running: list[_Workers], rows: list[Row], times: int) -> None:
    """Have so many more workers come and go."""
    for workers in list(running):
        try:
            for _ in range(times):
                with workers.start() as child:
                    child.answer(READY)
                workers.gone += 1
            workers.scrape()  # the one that finds what the others left
        except (ChildError, _TotalError) as error:
            rows.append(failed(workers.peer, error))
            running.remove(workers)


def _row(workers: _Workers) -> Row:
    files = [file for file in workers.metrics.iterdir() if file.is_file()]
    figures = {
        "first": workers.first * 1e3,
        "ms": median(workers.wall) * 1e3,
        "cpu": median(workers.cpu) * 1e3,
        "later": median(workers.later) * 1e3,
        "files": len(files),
        "kilobytes": sum(file.stat().st_blocks * 512 for file in files) / 1e3,
        "bytes": workers.size,
    }
    peer = workers.peer
    return Row(name=peer.name, figures=figures, reference=peer.reference, note=peer.note("scrape"))
