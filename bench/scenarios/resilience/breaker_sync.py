"""Synchronous breaker: its cost, and whether its counter is exact under threads."""

import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from bench.measure import Subject, calling, describe, interleave
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.plan import Plan
from bench.registry import Peer
from bench.run import Run
from bench.shape import Counted, SyncCall
from bench.speed import BARE, COLUMNS, build, figures
from bench.subject import bare_sync

_THREADS = 4


async def run(bench: Run) -> Table:
    """Time the closed synchronous breaker, then count with four threads."""
    built = await build(bench.peers, "breaker_sync", lambda factory: factory(bare_sync))
    calls = {BARE: bare_sync, **built.calls}
    subjects = [Subject(name=name, lap=calling(call)) for name, call in calls.items()]
    timings, failed = await interleave(subjects, bench.plan, bench.bar(bench.plan.rounds))
    rows = [*built.rows, *(Row(name=name, failed=error) for name, error in failed.items())]
    for name, timing in timings.items():
        peer = bench.by_name.get(name)
        shown = figures(timing, timings[BARE])
        if peer:
            shown |= _count(peer, bench.plan)
        rows.append(Row(name=name, figures=shown, reference=peer is None))
    return Table(
        head=Head(
            key="breaker_sync",
            title="Synchronous breaker, closed, success",
            what="Sync breaker around a sync call; then "
            f"{_THREADS} threads make {_THREADS * bench.plan.thread_calls:,} calls "
            "(all failing where only failures are counted, else every second one) on a breaker that never opens, and "
            "its public counter is read. The interpreter switches threads every microsecond during the count.",
        ),
        columns=(*COLUMNS, Column("counted", "counted", "text"), Column("exact", "exact", "yes")),
        rows=ordered(rows, "ratio"),
        rank="ratio",
        speed=True,
    )


def _count(peer: Peer, plan: Plan) -> dict[str, Figure]:
    factory = peer.offer("breaker_counted")
    if factory is None:
        return {"counted": peer.reason("breaker_counted"), "exact": None}
    try:
        return _counted(factory, plan.thread_calls)
    except Exception as error:  # noqa: BLE001
        return {"counted": f"failed: {describe(error)}", "exact": False}


def _counted(factory: Callable[[SyncCall], Counted], each: int) -> dict[str, Figure]:
    every = 1

    def call(value: int) -> int:
        if value % every == 0:
            raise ConnectionError
        return value

    counted = factory(call)
    every = 1 if counted.failures_only else 2

    def work() -> None:
        for value in range(each):
            with suppress(ConnectionError):
                counted.call(value)

    threads = [Thread(target=work) for _ in range(_THREADS)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    found, made = counted.read(), _THREADS * each
    return {"counted": f"{found:,} of {made:,}", "exact": found == made}
