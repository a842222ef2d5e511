"""Callers who leave in the middle of a query, and what becomes of the connections."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.pool import Pool

from bench.database_shape import POOL, Opened, Servers
from bench.model import Column, Head, Table, ordered
from bench.postgres import Cluster, Examined, cluster, each, enter
from bench.registry import Peer
from bench.run import Run

_WORKERS = 10
_LONGEST = 0.02
"""Seconds after which a caller has left."""
_SETTLE = 3.0
"""Seconds in which connections of callers who left must be in order again."""
_MOST = 45.0
_BUSY = (
    "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    " and state <> 'idle'"
)


async def run(bench: Run) -> Table:
    """Do it to every peer, one after the other."""
    with cluster(0) as servers:

        async def examine(_: Peer, factory: Callable[[Servers], Any]) -> Examined:
            async with AsyncExitStack() as stack:
                return await _examine(await enter(stack, factory, servers.servers), servers, bench.plan.cancellations)

        rows = await each(bench, "cancelled", "opened", examine, _MOST)
    return Table(
        head=Head(
            key="cancelled",
            title=f"{bench.plan.cancellations} callers leave",
            what=f"{_WORKERS} at a time update a row, wait for the server, and commit; each is cancelled while it "
            f"waits, after up to {_LONGEST * 1e3:g} ms, at random. Survived: connections that did not have to be made "
            "anew, per caller cancelled. Then as many are cancelled at any moment since they began. Leaked: of "
            f"{POOL} connections those that {POOL} callers cannot get afterwards, and those that are not idle "
            f"{_SETTLE:g} s later.",
        ),
        columns=(
            Column("cancelled", "cancelled", "count"),
            Column("opened", "connections made anew", "count"),
            Column("survived", "survived", "percent"),
            Column("leaked", "leaked", "count"),
        ),
        rows=ordered(rows, "survived", highest=True),
        rank="survived",
    )


async def _examine(opened: Opened, servers: Cluster, most: int) -> Examined:
    watching = await servers.connect()
    try:
        with _counted() as made:
            await _fill(opened)
            before = len(made)
            cancelled = await _storm(opened, most, asking=True)
            short = POOL - await _fill(opened)  # what was closed is replaced only now
            anew = len(made) - before
        await _storm(opened, most, asking=False)
        busy = await _idle(watching)
        short = max(short, POOL - await _fill(opened))
        figures = {"cancelled": cancelled, "opened": anew, "leaked": busy + short}
        return {**figures, "survived": max(0.0, 1 - anew / max(1, cancelled))}, ""
    finally:
        watching.terminate()


async def _work(opened: Opened, number: int, asking: asyncio.Event) -> None:
    with opened.calling():
        async with opened.session() as session:
            await session.execute(text("UPDATE users SET score = score + 1 WHERE id = :id"), {"id": number})
            asking.set()
            await session.execute(text("SELECT pg_sleep(0.03)"))
            await session.commit()


async def _leave(opened: Opened, users: range, *, asking: bool) -> int:
    """Let callers leave one after the other, when they are `asking` or at any time; how many had not finished."""
    left = 0
    for user in users:
        begun = asyncio.Event()
        task = asyncio.create_task(_work(opened, user, begun))
        if asking:
            await begun.wait()
        await asyncio.sleep(random.uniform(0.0, _LONGEST))
        task.cancel()
        await asyncio.wait([task])
        left += task.cancelled()
    return left


async def _storm(opened: Opened, callers: int, *, asking: bool) -> int:
    each = callers // _WORKERS
    storm = [
        _leave(opened, range(worker * each + 1, (worker + 1) * each + 1), asking=asking) for worker in range(_WORKERS)
    ]
    return sum(await asyncio.gather(*storm))


async def _fill(opened: Opened) -> int:
    """Have every connection of the pool in use at once; how many callers got one."""

    async def one() -> None:
        async with asyncio.timeout(_SETTLE), opened.session() as session:
            await session.execute(text("SELECT pg_sleep(0.3) FROM users WHERE id = 1 FOR SHARE"))

    found = await asyncio.gather(*(one() for _ in range(POOL)), return_exceptions=True)
    return sum(not isinstance(error, BaseException) for error in found)


async def _idle(watching: Any) -> int:
    """Connections that are still at something after a while."""
    async with asyncio.timeout(_SETTLE * 2):
        for _ in range(int(_SETTLE * 50)):
            await asyncio.sleep(0.02)
            busy = int(await watching.fetchval(_BUSY))
            if not busy:
                break
    await asyncio.sleep(0.1)
    return busy


@contextmanager
def _counted() -> Iterator[list[None]]:
    """The connections to a server that any pool of SQLAlchemy's makes in this block."""
    made: list[None] = []

    def connected(connection: Any, _: Any) -> None:
        if isinstance(connection, AsyncAdapt_asyncpg_connection):
            made.append(None)

    event.listen(Pool, "connect", connected)
    try:
        yield made
    finally:
        event.remove(Pool, "connect", connected)
