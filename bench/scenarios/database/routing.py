"""What choosing a server takes, and telling reads from writes."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from bench.measure import Subject, calling, describe, interleave
from bench.model import Column, Head, Row, Table, ordered
from bench.postgres import cluster, enter
from bench.registry import Peer
from bench.run import Run
from bench.speed import BARE, figures
from bench.subject import bare_sync

_SEEN = "SELECT users.id, users.name, users.score FROM users WHERE users.id = $1::INTEGER"
_COLUMNS = (
    Column("ns", "ns per call", "ns"),
    Column("ratio", "× bare", "ratio"),
    Column("spread", "spread", "percent"),
)
_SETTLE = 0.3
"""Seconds in which a probe has told how far the replicas are."""


async def decision(bench: Run) -> Table:
    """Time the choice of a server."""
    head = Head(
        key="decision",
        title="Choosing a server for a read",
        what="One of two replicas, or the primary. Seawall's looks for one that has what the caller wrote, and for a "
        "caller who has just read, for one that is not behind what was read; the others' look for "
        "nothing. Beside a bare call; CPU time.",
    )
    return await _time(head, "decisions", None, bench)


async def classification(bench: Run) -> Table:
    """Time the classification of a statement seen before."""
    head = Head(
        key="classification",
        title="Telling a read, statement seen before",
        what=f"`{_SEEN}` as text. The others judge by the kind of object that SQLAlchemy was given. "
        "Beside a bare call; CPU time.",
    )
    return await _time(head, "classifications", _SEEN, bench)


async def _time(head: Head, ability: str, asked: Any, bench: Run) -> Table:
    rows, subjects = list[Row](), [Subject(name=BARE, lap=calling(bare_sync))]
    with cluster(2) as servers:
        async with AsyncExitStack() as stack:
            for peer in bench.peers:
                if peer.broken:
                    rows.append(Row(name=peer.name, failed=peer.broken))
                elif peer.offer(ability) is None:
                    rows.append(Row(name=peer.name, absent=peer.reason(ability), reference=peer.reference))
                else:
                    try:
                        made = await _calls(peer, ability, stack, servers.servers)
                        subjects += [Subject(name=row, lap=calling(call, asked)) for row, call in made.items()]
                    except Exception as error:  # noqa: BLE001
                        rows.append(Row(name=peer.name, failed=describe(error)))
            timings, failed = await interleave(subjects, bench.plan, bench.bar(bench.plan.rounds))
    rows += [Row(name=name, failed=error) for name, error in failed.items()]
    for name, timing in timings.items():
        owner = bench.by_name.get(name)
        shown = {**figures(timing, timings[BARE]), "us": timing.ns / 1e3}
        reference = name == BARE or bool(owner and owner.reference)
        rows.append(Row(name=name, figures=shown, reference=reference, note=owner.note(head.key) if owner else None))
    return Table(head=head, columns=_COLUMNS, rows=ordered(rows, "ratio"), rank="ratio")


async def _calls(peer: Peer, ability: str, stack: AsyncExitStack, servers: Any) -> dict[str, Callable[[Any], Any]]:
    opened = await enter(stack, peer.offer("routed") or peer.offer("opened"), servers)  # type: ignore[arg-type]
    await asyncio.sleep(_SETTLE)
    offer = peer.offer(ability)
    calls: dict[str, Callable[[Any], Any]] = offer(opened) if offer else {}
    return calls
