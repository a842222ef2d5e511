"""What each layer adds to a request of a Starlette app, called without a server."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.children import ChildError
from bench.layers import SERVER_CORE, Layer, failed, layers
from bench.measure import Timing
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.requests_shape import CALLED, SAMPLED
from bench.run import Run

YARDSTICK = "bare"
_LAPS = 4
"""How much longer a lap is than one of calls that cost a microsecond."""
_WARM = 500
_MOST = 60.0
_HEAD = Head(
    key="starlette",
    title="A request of a Starlette app",
    what="`/x/{id}`, answered with plain text; the app is called as a server calls it, one request after another, "
    f"each with another id and a browser's headers, and one in {CALLED} with its caller's `traceparent`. Each "
    "contender is in a process of its own, all on one core; all take turns, and are started anew after some rounds. "
    "Log lines go to files. CPU time of the whole process, with its threads, until all is written and sent; in its "
    f"thread: above bare, of the thread that serves alone. Who traces records {SAMPLED:.0%} and sends them to a server "
    "beside it, once a lap; who reports errors has none to report.",
)


@dataclass
class _Laps:
    """A contender's laps, in nanoseconds a call: of the serving thread, by the clock, of all threads.

    layer, calls: its last launch, and the calls of a lap of that.
    """

    layer: Layer
    calls: int = 0
    thread: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Make one."""
        took = self.lap(self.calls)
        self.thread.append(took["thread"] / self.calls)
        self.wall.append(took["wall"] / self.calls)
        self.cpu.append(took["cpu"] / self.calls)

    def lap(self, calls: int) -> dict[str, Any]:
        """Make one of so many calls."""
        took: dict[str, Any] = self.layer.child.ask("lap", calls=calls, within=_MOST)
        return took

    def settle(self, lap: float) -> None:
        """Warm up, and find how many calls take about `lap` seconds."""
        self.lap(_WARM)
        calls = 16
        while True:
            took = self.lap(calls)["thread"]
            if took > lap * 1e9 / 4:
                break
            calls *= 2
        self.calls = max(16, int(calls * lap * 1e9 / took))
        self.lap(self.calls)

    @property
    def timing(self) -> Timing:
        """All threads."""
        return Timing(cpu=tuple(self.cpu), wall=tuple(self.wall), calls_per_lap=self.calls)

    @property
    def serving(self) -> Timing:
        """The thread that serves alone."""
        return Timing(cpu=tuple(self.thread), wall=tuple(self.wall), calls_per_lap=self.calls)


async def run(bench: Run) -> Table:
    """Time every contender."""
    tick = bench.bar(bench.plan.rounds)
    known, gone = dict[str, _Laps](), dict[str, Row]()
    for rounds in bench.plan.shares(bench.plan.rounds):
        with layers(bench, "starlette", "bench.contender", core=SERVER_CORE) as (ready, absent):
            gone |= {row.name: row for row in absent}
            running = []
            for layer in ready:
                laps = known.setdefault(layer.peer.name, _Laps(layer))
                laps.layer = layer
                try:
                    laps.settle(bench.plan.lap * _LAPS)
                    if layer.peer.name not in gone:
                        running.append(laps)
                except ChildError as error:
                    gone[layer.peer.name] = failed(layer.peer, error)
            for number in range(rounds):
                shift = number % max(1, len(running))
                for laps in running[shift:] + running[:shift]:
                    try:
                        laps.run()
                    except ChildError as error:
                        gone[laps.layer.peer.name] = failed(laps.layer.peer, error)
                        running.remove(laps)
                tick()
    rows, ran = list(gone.values()), [laps for name, laps in known.items() if name not in gone]
    bare = next((laps for laps in ran if laps.layer.peer.name == YARDSTICK), None)
    for laps in ran:
        peer = laps.layer.peer
        figures = _figures(laps, bare)
        rows.append(Row(name=peer.name, figures=figures, reference=peer.reference, note=peer.note("starlette")))
    return Table(
        head=_HEAD,
        columns=(
            Column("us", "per request", "us"),
            Column("above", "above bare", "us"),
            Column("ratio", "× bare", "ratio"),
            Column("spread", "spread", "percent"),
            Column("serving", "in its thread", "us"),
        ),
        rows=ordered(rows, "ratio" if bare else "us"),
        rank="ratio",
    )


def _figures(laps: _Laps, bare: _Laps | None) -> dict[str, Figure]:
    mine = laps.timing
    shown: dict[str, Figure] = {"us": mine.ns / 1e3, "wall": median(mine.wall) / 1e3, "calls_per_lap": laps.calls}
    if bare is not None:
        other = bare.timing
        shown |= {
            "above": mine.above(other) / 1e3,
            "ratio": mine.over(other),
            "spread": mine.spread(other),
            "serving": laps.serving.above(bare.serving) / 1e3,
        }
    return shown
