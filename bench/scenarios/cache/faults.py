"""The loading caller is cancelled, the loading process killed, the load fails."""

from collections.abc import Mapping

from redis import Redis

from bench.callers import Fault, Outcome
from bench.crowds import contenders, problem, send, server
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.registry import Peer
from bench.run import Run

_FOLLOWERS = 20
_EACH = 50
_PATIENCE = 10.0


async def run(bench: Run) -> Table:
    """Do all three to every peer."""
    able, rows = contenders(bench, local=True)
    tick = bench.bar(len(able))
    with server() as (url, redis):
        for peer in able:
            rows.append(await _row(peer, url, redis, bench))
            tick()
    return Table(
        head=Head(
            key="faults",
            title="The one who loads is cancelled, is killed, or fails",
            what=f"Cancelled: one process, a caller and {_FOLLOWERS} more; the first is cancelled half-way through the "
            f"load ({bench.plan.load:g} s). How many of the {_FOLLOWERS} fail or still wait after {_PATIENCE:g} s "
            f"(none should), and the loads (one). Killed: {bench.plan.processes} processes of {_EACH} callers, the "
            "first load kills its process half-way; the loads after that (one), callers of the other processes that "
            "got no answer, and how long they took. Failing: the same, every load fails; the loads (one).",
        ),
        columns=(
            Column("cancelled_failed", "cancelled: followers lost", "count"),
            Column("cancelled_loads", "loads", "count"),
            Column("killed_loads", "killed: loads after", "count"),
            Column("killed_failed", "without answer", "count"),
            Column("killed_seconds", "took", "seconds"),
            Column("failing_loads", "failing: loads", "count"),
            Column("failing_seconds", "took", "seconds"),
        ),
        rows=ordered(rows, "off"),
        rank="off",
    )


async def _row(peer: Peer, url: str, redis: Redis, bench: Run) -> Row:
    processes, load = bench.plan.processes, bench.plan.load
    crowds: tuple[tuple[Fault, int, int], ...] = (
        ("cancelled", 1, _FOLLOWERS + 1),
        ("killed", processes, _EACH),
        ("failing", processes, _EACH),
    )
    shown: dict[str, Figure] = {}
    for fault, of, each in crowds:
        outcomes, loads = await send(peer, url, redis, processes=of, each=each, load=load, most=_PATIENCE, fault=fault)
        if error := problem(outcomes):
            return Row(name=peer.name, failed=f"{error} ({fault})")
        found = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
        shown[f"{fault}_loads"] = loads - (fault == "killed")
        shown[f"{fault}_failed"] = sum(outcome.failed + outcome.waiting for outcome in found)
        shown[f"{fault}_seconds"] = max((outcome.seconds for outcome in found), default=None)
        shown[f"{fault}_error"] = ", ".join(sorted({outcome.error for outcome in found if outcome.error}))
    shown["off"] = _off(shown)
    return Row(name=peer.name, figures=shown, reference=peer.reference, note=peer.note("shared"))


def _off(shown: Mapping[str, Figure]) -> int:
    """How far the figures are from what is right: nobody lost, one load each."""
    lost = int(shown["cancelled_failed"] or 0) + int(shown["killed_failed"] or 0)
    return lost + sum(abs(int(shown[f"{fault}_loads"] or 0) - 1) for fault in ("cancelled", "killed", "failing"))
