"""The common part of the speed scenarios: build every contender, interleave, divide by the reference."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.measure import Lap, Subject, Timing, awaiting, describe, interleave
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.registry import Peer
from bench.run import Run
from bench.subject import bare

BARE = "bare call"


def columns(reference: str = "bare") -> tuple[Column, ...]:
    """The columns of a speed table whose figures are compared with `reference`."""
    return (
        Column("ns", "ns per call", "ns"),
        Column("above", f"above {reference}", "ns"),
        Column("ratio", f"× {reference}", "ratio"),
        Column("spread", "spread", "percent"),
    )


COLUMNS = columns()


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the peers' factories made, by contender, and a row for each that made nothing."""

    calls: Mapping[str, Any]
    rows: list[Row]


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """The bare call everything is compared with: what it is called, asked, and answers, and how it is called."""

    name: str = BARE
    short: str = "bare"
    call: Callable[[Any], Any] = bare
    asked: Any = 1
    answer: Any = 1
    lap: Callable[[Any, Any], Lap] = awaiting


_BARE = Yardstick()


async def build(peers: Sequence[Peer], ability: str, make: Callable[[Callable[..., Any]], Any]) -> Built:
    """Call `make(factory)`, and await what can be awaited of it, for every peer that offers `ability`."""
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
                made = make(factory)
                calls[peer.name] = await made if inspect.isawaitable(made) else made
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


async def race(
    head: Head,
    ability: str,
    bench: Run,
    *,
    make: Callable[[Callable[..., Any]], Any] = lambda factory: factory(bare),
    yardstick: Yardstick = _BARE,
    also: str = "",
    first: bool = True,
) -> Table:
    """Time the success path of `ability` for every peer.

    make: what a peer's offer is given. yardstick: what it is compared with. also: adds the timeout of one more as a
    yardstick. first: whether Seawall must come first.
    """
    built = await build(bench.peers, ability, make)
    calls = {yardstick.name: yardstick.call, **built.calls}
    if also:
        named = [peer for peer in bench.peers if peer.name == also]
        calls |= (await build(named, "timeout", make)).calls
    wrong = await _wrong(calls, yardstick)
    subjects = [
        Subject(name=name, lap=yardstick.lap(call, yardstick.asked))
        for name, call in calls.items()
        if name not in wrong
    ]
    timings, failed = await interleave(subjects, bench.plan, bench.bar(bench.plan.rounds))
    rows = [*built.rows, *(Row(name=name, failed=error) for name, error in {**wrong, **failed}.items())]
    for name, timing in timings.items():
        peer = bench.by_name.get(name)
        rows.append(
            Row(
                name=name,
                figures=figures(timing, timings[yardstick.name]),
                reference=peer is None or peer.reference,
                note=peer.note(ability) if peer else None,
            )
        )
    return Table(head=head, columns=columns(yardstick.short), rows=ordered(rows, "ratio"), rank="ratio", speed=first)


async def _wrong(calls: Mapping[str, Any], yardstick: Yardstick) -> dict[str, str]:
    """Return the contenders that do not hand back what the call returned."""
    wrong = {}
    for name, call in calls.items():
        try:
            answer = call(yardstick.asked)
            answer = await answer if inspect.isawaitable(answer) else answer
        except Exception as error:  # noqa: BLE001
            wrong[name] = describe(error)
        else:
            if answer != yardstick.answer:
                wrong[name] = f"returned {answer!r} for {yardstick.asked!r}"
    return wrong
