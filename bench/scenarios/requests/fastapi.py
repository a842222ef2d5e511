"""Requests a second of a FastAPI app under uvicorn, with each layer around it."""

from statistics import median, quantiles

from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.requests_shape import SAMPLED
from bench.run import Run
from bench.served import CONNECTIONS, Load, Turns, take_turns

YARDSTICK = "bare"
_BURSTS = 4
"""How much longer a turn is than one that asks Redis."""
_HEAD = Head(
    key="fastapi",
    title="Requests a second of a FastAPI app under uvicorn",
    what="`/x/{id}` with an `int` in its path, answered with a validated model. One worker (asyncio, h11 or httptools "
    "as installed, no access log of uvicorn's) on one core; the load, our own, on another: "
    f"{CONNECTIONS} connections that are kept, each asking again when it is answered. All servers are started first "
    "and take turns; after some rounds all are started anew, as one process is some percent faster than the next. × is "
    "the median of the quotients with bare FastAPI in the same round; CPU × is the same of the "
    f"server's CPU time for a request. Who traces records {SAMPLED:.0%} and sends them as often as it does by itself, "
    "and what is left when its turn ends, which is in the CPU time. Busy: the load's share of its core; near 100% it "
    "is the load that was measured. Where other processes want the same core, only CPU × says anything.",
)


async def run(bench: Run) -> Table:
    """Load every contender."""
    rounds = bench.plan.shares(bench.plan.rounds)
    load = Load(path="/x/{}", status=200, rounds=rounds, seconds=bench.plan.burst * _BURSTS)
    all_turns, rows = await take_turns(bench, load)
    bare = next((turns for turns in all_turns if turns.layer.peer.name == YARDSTICK), None)
    for turns in all_turns:
        peer = turns.layer.peer
        rows.append(
            Row(name=peer.name, figures=_figures(turns, bare), reference=peer.reference, note=peer.note("fastapi"))
        )
    return Table(
        head=_HEAD,
        columns=(
            Column("rate", "requests/s", "count"),
            Column("ratio", "× bare", "ratio"),
            Column("spread", "spread", "percent"),
            Column("cpu", "CPU per request", "us"),
            Column("cpu_ratio", "CPU ×", "ratio"),
            Column("p50", "p50", "ms"),
            Column("p99", "p99", "ms"),
            Column("busy", "busy", "percent"),
        ),
        rows=ordered(rows, "ratio" if bare else "rate", highest=True),
        rank="ratio",
    )


def _figures(turns: Turns, bare: Turns | None) -> dict[str, Figure]:
    shown: dict[str, Figure] = {key: median(turns.all(key)) for key in ("rate", "p50", "p99", "busy")}
    shown |= {"cpu": median(turns.cpu) * 1e6, "answers": sum(turns.all("answers"))}
    if bare is not None:
        quotients = [mine / other for mine, other in zip(turns.all("rate"), bare.all("rate"), strict=True)]
        low, middle, high = quantiles(quotients, n=4)
        costs = [other / mine for mine, other in zip(turns.cpu, bare.cpu, strict=True)]
        shown |= {"ratio": median(quotients), "spread": (high - low) / middle, "cpu_ratio": median(costs)}
    return shown
