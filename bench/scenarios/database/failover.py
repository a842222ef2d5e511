"""The primary is killed and its replica promoted, under writers."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
from sqlalchemy import text

from bench.database_shape import Opened, Servers
from bench.model import Column, Figure, Head, Table, ordered
from bench.postgres import Cluster, Examined, cluster, each, enter, kinds
from bench.registry import Peer
from bench.run import Run

_WRITERS = 10
_PAUSE = 0.01
_LOOK = 0.002
_BEFORE = 0.5
_PATIENCE = 5.0
_MOST = 40.0


class Writers:
    """Who write all the time, and what happened to them."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.last = [0.0] * _WRITERS
        self.errors: list[BaseException] = []
        self.tasks = [asyncio.create_task(self._write(number)) for number in range(_WRITERS)]

    async def _write(self, number: int) -> None:
        while True:
            try:
                with self.opened.calling():
                    async with self.opened.session() as session:
                        await session.execute(text("UPDATE visits SET n = n + 1 WHERE id = :id"), {"id": number})
                        await session.commit()
            except Exception as error:  # noqa: BLE001  counted
                self.errors.append(error)
            else:
                self.last[number] = time.monotonic()
            await asyncio.sleep(_PAUSE)

    async def since(self, moment: float, most: float) -> tuple[float | None, float | None]:
        """Seconds from `moment` until one of them, and until all have written; None for never."""
        first, ends = None, time.monotonic() + most
        while time.monotonic() < ends:
            again = [last for last in self.last if last > moment]
            if again and first is None:
                first = min(again) - moment
            if len(again) == _WRITERS:
                return first, max(again) - moment
            await asyncio.sleep(0.002)
        return first, None

    async def end(self) -> None:
        """Let them go."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def run(bench: Run) -> Table:
    """Do it to every peer, each with servers of its own."""

    async def examine(_: Peer, factory: Callable[[Servers], Any]) -> Examined:
        with cluster(1) as servers:
            return await _examine(factory, servers)

    rows = await each(bench, "failover", "failing_over", examine, _MOST)
    return Table(
        head=Head(
            key="failover",
            title="The primary is killed, the replica promoted",
            what=f"{_WRITERS} callers each update a row and commit, over and over; the primary is killed (SIGKILL), "
            "then the replica promoted. Seconds from the moment it is a primary until the first of them, and until all "
            f"of them have written; – where that takes more than {_PATIENCE:g} s. Errors are what they got meanwhile, "
            f"one every {_PAUSE * 1e3:g} ms at most.",
        ),
        columns=(
            Column("first", "first write", "seconds"),
            Column("all", "all write", "seconds"),
            Column("promotion", "promotion took", "seconds"),
            Column("errors", "errors", "count"),
        ),
        rows=ordered(rows, "first"),
        rank="first",
    )


async def _examine(factory: Callable[[Servers], Any], servers: Cluster) -> Examined:
    async with AsyncExitStack() as stack:
        opened = await enter(stack, factory, servers.servers)
        writers = Writers(opened)
        stack.push_async_callback(writers.end)
        await asyncio.sleep(_BEFORE)
        if not all(writers.last):
            message = "not all could write before"
            raise LookupError(message)
        writers.errors.clear()
        watching = await asyncpg.connect(servers.replicas[0].url)
        stack.callback(watching.terminate)
        killed = time.monotonic()
        await asyncio.to_thread(servers.primary.kill)
        promotion = asyncio.create_task(asyncio.to_thread(servers.replicas[0].promote))
        while await watching.fetchval("SELECT pg_is_in_recovery()"):  # noqa: ASYNC110  a server tells nobody
            await asyncio.sleep(_LOOK)
        promoted = time.monotonic()
        first, everybody = await writers.since(promoted, _PATIENCE)
        figures: dict[str, Figure] = {
            "first": first,
            "first_ms": None if first is None else first * 1e3,
            "all": everybody,
            "promotion": promoted - killed,
            "errors": len(writers.errors),
        }
        await promotion
        note = kinds(writers.errors) if first is not None else f"no failover; {kinds(writers.errors)}"
        return figures, note
