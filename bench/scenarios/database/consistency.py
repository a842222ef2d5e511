"""Callers who write and then read, while the replicas lag."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from bench.database_shape import VISITORS, Opened, Servers, Visit
from bench.model import Column, Figure, Head, Table, ordered
from bench.postgres import Cluster, Examined, cluster, each, kinds
from bench.registry import Peer
from bench.run import Run

_READS = 2
_MOST = 60.0
_TICK = 0.005
_FLUSH = 1.2
"""Seconds after which a server has counted what a session did that goes on."""


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far two replicas are behind, and what callers do between their statements; times in seconds.

    share: of the plan's visits.
    """

    key: str
    delays: tuple[float, float]
    think: float
    tasks: int
    share: float


LAGS = (
    Lag(key="none", delays=(0.0, 0.0), think=0.0, tasks=10, share=0.4),
    Lag(key="uneven", delays=(0.0, 0.2), think=0.0, tasks=10, share=0.4),
    Lag(key="thinking", delays=(0.02, 0.02), think=0.1, tasks=VISITORS, share=0.2),
)


class Seen:
    """What the callers saw."""

    def __init__(self) -> None:
        self.reads = self.stale = self.backwards = 0
        self.failed: list[BaseException] = []


async def run(bench: Run) -> Table:
    """Do it to every peer, one after the other, on the same servers."""
    with cluster(2) as servers:

        async def examine(_: Peer, factory: Callable[[Servers], Any]) -> Examined:
            figures: dict[str, Figure] = {"reads": 0, "stale": 0, "backwards": 0}
            failed = list[BaseException]()
            for lag in LAGS:
                seen, offloaded = await _under(lag, factory, servers, round(bench.plan.visits * lag.share))
                for key, found in (("reads", seen.reads), ("stale", seen.stale), ("backwards", seen.backwards)):
                    figures[key] = int(figures[key] or 0) + found
                figures[f"{lag.key}_stale"], figures[f"{lag.key}_offloaded"] = seen.stale, offloaded
                failed += seen.failed
            return {**figures, "failed": len(failed)}, kinds(failed)

        rows = await each(bench, "consistency", "routed", examine, _MOST)
    return Table(
        head=Head(
            key="consistency",
            title="Write, then read, with two replicas that lag",
            what=f"{bench.plan.visits:,} callers; each updates its row, commits, and reads it {_READS} times, together "
            "with a row that counts up all the time, every statement in a new session. Stale: the row is older than "
            "what the caller wrote. Backwards: the other row is older than when the caller read it last. Offloaded: "
            "the share of the reads that ran on a replica, as the replicas counted. The replicas lag by 0 and 0 ms, "
            "then by 0 and 200 ms, then both by 20 ms with callers who think for 100 ms before they read.",
        ),
        columns=(
            Column("reads", "reads", "count"),
            Column("stale", "stale", "count"),
            Column("backwards", "backwards", "count"),
            Column("none_offloaded", "offloaded, no lag", "percent"),
            Column("uneven_offloaded", "0 and 200 ms", "percent"),
            Column("thinking_offloaded", "20 ms, thinking", "percent"),
            Column("failed", "failed", "count"),
        ),
        rows=ordered(rows, "stale"),
        rank="stale",
    )


async def _under(lag: Lag, factory: Callable[[Servers], Any], servers: Cluster, visits: int) -> tuple[Seen, float]:
    """Let callers come under this lag: what they saw, and the share of their reads that ran on a replica."""
    for replica, delay in zip(servers.replicas, lag.delays, strict=True):
        replica.set_delay(delay)
    await asyncio.to_thread(servers.catch_up)
    await asyncio.sleep(_FLUSH)
    before = await asyncio.to_thread(servers.scans)
    seen = Seen()
    async with _ticking(servers), factory(servers.servers) as opened:
        await asyncio.sleep(0.2)
        each_task, more = divmod(visits, lag.tasks)
        tasks = [
            asyncio.create_task(_come(opened, number + 1, each_task + (number < more), lag.think, seen))
            for number in range(lag.tasks)
        ]
        await asyncio.gather(*tasks)
    await asyncio.sleep(_FLUSH)
    offloaded = await asyncio.to_thread(servers.scans) - before
    return seen, offloaded / max(1, seen.reads)


@asynccontextmanager
async def _ticking(servers: Cluster) -> AsyncIterator[None]:
    """Row 0 counts up all the time."""
    connection = await servers.connect()

    async def tick() -> None:
        while True:
            await connection.execute("UPDATE visits SET n = n + 1 WHERE id = 0")
            await asyncio.sleep(_TICK)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        connection.terminate()


async def _come(opened: Opened, visitor: int, times: int, think: float, seen: Seen) -> None:
    """Come so many times, each time as somebody new: a task of its own, as a server has one for each request."""
    for number in range(times):
        value = time.monotonic_ns() // 1_000_000 % 1_000_000_000 + number
        visit = asyncio.create_task(_visit(opened, visitor, value, think, seen), context=contextvars.Context())
        await asyncio.wait([visit])
        if error := visit.exception():
            seen.failed.append(error)


async def _visit(opened: Opened, visitor: int, value: int, think: float, seen: Seen) -> None:
    with opened.calling():
        async with opened.session() as session:
            await session.execute(update(Visit).where(Visit.id == visitor).values(n=value))
            await session.commit()
        before = 0
        for _ in range(_READS):
            await asyncio.sleep(think)
            async with opened.session() as session:
                found = await session.execute(select(Visit.id, Visit.n).where(Visit.id.in_((visitor, 0))))
                rows = {row.id: row.n for row in found}
            seen.reads += 1
            seen.stale += rows[visitor] != value
            seen.backwards += rows[0] < before
            before = max(before, rows[0])
