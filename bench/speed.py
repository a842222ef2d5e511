"""The common part of the speed scenarios: build every contender, interleave, divide by the reference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.measure import Subject, Timing, awaiting, describe, interleave
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.registry import Peer
from bench.run import Run
from bench.subject import bare

BARE = "bare call"
COLUMNS = (
    Column("ns", "ns per call", "ns"),
    Column("above", "above bare", "ns"),
    Column("ratio", "× bare", "ratio"),
    Column("spread", "spread", "percent"),
)


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the peers' factories made, by contender, and a row for each that made nothing."""

    calls: Mapping[str, Any]
    rows: list[Row]


def build(peers: Sequence[Peer], ability: str, make: Callable[[Callable[..., Any]], Any]) -> Built:
    """Call `make(factory)` for every peer that offers `ability`."""
    calls: dict[str, Any] = {}
    rows: list[Row] = []
    for peer in peers:
        factory = peer.offer(ability)
        if peer.broken:
            rows.append(Row(name=peer.name, failed=peer.broken))
        elif factory is None:
            if not peer.reference:
                rows.append(Row(name=peer.name, absent=peer.reason(ability)))
        else:
            try:
                calls[peer.name] = make(factory)
            except Exception as error:  # noqa: BLE001  a broken contender becomes a line in the table
                rows.append(Row(name=peer.name, failed=describe(error)))
    return Built(calls=calls, rows=rows)


def figures(timing: Timing, reference: Timing) -> dict[str, Figure]:
    """Write a timing as the figures of a row."""
    return {
        "ns": timing.ns,
        "above": timing.above(reference),
        "ratio": timing.over(reference),
        "spread": timing.spread(reference),
        "wall": median(timing.wall),
        "calls_per_lap": timing.calls_per_lap,
    }


async def race(head: Head, ability: str, bench: Run, *, also: str = "") -> Table:
    """Time the success path of `ability` for every peer; `also` adds the timeout of one more as a yardstick."""
    built = build(bench.peers, ability, lambda factory: factory(bare))
    calls = {BARE: bare, **built.calls}
    if also:
        calls |= build(
            [peer for peer in bench.peers if peer.name == also], "timeout", lambda factory: factory(bare)
        ).calls
    wrong = await _wrong(calls)
    subjects = [Subject(name=name, lap=awaiting(call)) for name, call in calls.items() if name not in wrong]
    timings, failed = await interleave(subjects, bench.plan, bench.bar(bench.plan.rounds))
    rows = [*built.rows, *(Row(name=name, failed=error) for name, error in {**wrong, **failed}.items())]
    for name, timing in timings.items():
        peer = bench.by_name.get(name)
        rows.append(
            Row(
                name=name,
                figures=figures(timing, timings[BARE]),
                reference=peer is None or peer.reference,
                note=peer.note(ability) if peer else None,
            )
        )
    return Table(head=head, columns=COLUMNS, rows=ordered(rows, "ratio"), rank="ratio", speed=True)


async def _wrong(calls: Mapping[str, Any]) -> dict[str, str]:
    """Return the contenders that do not hand back what the call returned."""
    wrong = {}
    for name, call in calls.items():
        try:
            answer = await call(1)
        except Exception as error:  # noqa: BLE001
            wrong[name] = describe(error)
        else:
            if answer != 1:
                wrong[name] = f"returned {answer!r} for 1"
    return wrong
