"""What a listener adds to a success and to a refusal."""

import inspect
from collections.abc import Callable

from bench.measure import Lap, Subject, awaiting, describe, interleave, refused
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.registry import Peer
from bench.run import Run
from bench.shape import Call
from bench.subject import Dependency, bare, open_up

_HOUR = 3_600.0
_MOST_PER_LAP = 1_000
_SAMPLE = 100


class _Heard:
    """A listener that counts."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, *_: object, **__: object) -> None:
        self.times += 1


async def run(bench: Run) -> Table:
    """Time success and refusal, each with and without a listener, all interleaved."""
    rows, subjects, heard = [], [], {}
    for peer in bench.peers:
        factory = peer.offer("breaker")
        if factory is None or _deaf(factory):
            rows.append(_missing(peer))
            continue
        try:
            laps, events = await _four(factory)
        except Exception as error:  # noqa: BLE001
            rows.append(Row(name=peer.name, failed=describe(error)))
            continue
        heard[peer.name] = events
        most = {"success": None, "refusal": _MOST_PER_LAP}
        subjects += [
            Subject(name=f"{peer.name}/{kind}/{when}", lap=lap, most=most[kind]) for (kind, when), lap in laps.items()
        ]
    timings, failed = await interleave(subjects, bench.plan, bench.bar(bench.plan.rounds))
    for name, events in heard.items():
        if broken := [error for subject, error in failed.items() if subject.startswith(f"{name}/")]:
            rows.append(Row(name=name, failed=broken[0]))
            continue
        shown: dict[str, Figure] = dict(events)
        for kind in ("success", "refusal"):
            without, heard_by_one = timings[f"{name}/{kind}/without"], timings[f"{name}/{kind}/with"]
            shown |= {
                kind: without.ns,
                f"{kind}_heard": heard_by_one.ns,
                f"{kind}_more": heard_by_one.over(without) - 1,
            }
        rows.append(Row(name=name, figures=shown, note=bench.by_name[name].note("listener")))
    return Table(
        head=Head(
            key="listener",
            title="Breaker with a listener",
            what="One listener that counts what it is told. Events say how much it hears: a library that tells it "
            "nothing about a call also pays nothing.",
        ),
        columns=(
            Column("success", "success, ns", "ns"),
            Column("success_heard", "with listener", "ns"),
            Column("success_more", "more", "percent"),
            Column("success_events", "events", "per call"),
            Column("refusal", "refusal, ns", "ns"),
            Column("refusal_heard", "with listener", "ns"),
            Column("refusal_more", "more", "percent"),
            Column("refusal_events", "events", "per call"),
        ),
        rows=ordered(rows, "success_heard"),
        rank="success_heard",
    )


def _deaf(factory: Callable[..., Call]) -> bool:
    return "listener" not in inspect.signature(factory).parameters


def _missing(peer: Peer) -> Row:
    """Return the row that says why `peer` takes no part."""
    if peer.broken:
        return Row(name=peer.name, failed=peer.broken)
    ability = "listener" if peer.offer("breaker") else "breaker"
    return Row(name=peer.name, absent=peer.reason(ability), reference=peer.reference)


async def _four(factory: Callable[..., Call]) -> tuple[dict[tuple[str, str], Lap], dict[str, float]]:
    """Build the four contenders of one peer and count the events of a success and of a refusal."""
    laps: dict[tuple[str, str], Lap] = {}
    events: dict[str, float] = {}
    for when in ("without", "with"):
        heard = _Heard()
        options = {"listener": heard} if when == "with" else {}
        closed, dependency = factory(bare, _HOUR, **options), Dependency()
        laps["success", when] = awaiting(closed)
        opened = factory(dependency.call, _HOUR, **options)
        await open_up(opened, dependency)
        laps["refusal", when] = refused(opened)
        for kind in ("success", "refusal"):
            heard.times = 0
            await laps[kind, when](_SAMPLE)
            events[f"{kind}_events"] = heard.times / _SAMPLE
    return laps, events
