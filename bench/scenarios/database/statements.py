"""What the everyday statements take: a row by its key in a session, a single statement, a transaction that writes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from statistics import median, quantiles
from typing import Any

from sqlalchemy import text

from bench.database_shape import USERS, Opened, User
from bench.measure import Lap, Subject, Timing, interleave
from bench.model import Column, Figure, Head, Row, Table, ordered
from bench.postgres import cluster, enter
from bench.run import Run
from bench.speed import build

YARDSTICK = "SQLAlchemy"
TASKS = 20
_WARM = 60
_LAPS = 4
"""How much longer a lap is than one of calls that wait for nobody."""
_SELECT = "SELECT name FROM users WHERE id = :id"
_UPDATE = "UPDATE users SET score = score + 1 WHERE id = :id"

Once = Callable[[int], Awaitable[object]]
"""Does it for the user of that number, and returns what it found."""


def _get(opened: Opened) -> Once:
    async def get(number: int) -> object:
        with opened.calling():
            async with opened.session() as session:
                user = await session.get(User, number)
                return user and user.name

    return get


def _fetch(opened: Opened) -> Once:
    async def fetch(number: int) -> object:
        with opened.calling():
            [row] = await opened.fetch(_SELECT, {"id": number})
            return row["name"]

    return fetch


def _update(opened: Opened) -> Once:
    async def update(number: int) -> object:
        with opened.calling():
            async with opened.session() as session:
                await session.execute(text(_UPDATE), {"id": number})
                await session.commit()
        return f"user {number}"

    return update


async def select_by_key(bench: Run) -> Table:
    """One task."""
    head = Head(
        key="select_by_key",
        title="A row by its key, one task",
        what="A session is opened, `await session.get(User, id)`, and it is closed; one after the other.",
    )
    return await _race(head, _get, bench)


async def select_concurrent(bench: Run) -> Table:
    """Many tasks."""
    head = Head(
        key="select_concurrent",
        title=f"A row by its key, {TASKS} tasks",
        what=f"The same by {TASKS} tasks at a time, for whom there are {TASKS} connections.",
    )
    return await _race(head, _get, bench, tasks=TASKS)


async def fetch(bench: Run) -> Table:
    """A single statement."""
    head = Head(
        key="fetch",
        title="A single SELECT without a session",
        what=f'`text("{_SELECT}")`, committed by itself.',
    )
    return await _race(head, _fetch, bench)


async def transaction(bench: Run) -> Table:
    """A transaction that writes."""
    head = Head(
        key="transaction",
        title="A transaction with one UPDATE",
        what="A session is opened, updates a row, commits, and is closed; one after the other. Afterwards Seawall asks "
        "the server once more: how far it has come, which is what the caller's next reads must have.",
    )
    return await _race(head, _update, bench)


async def _race(head: Head, work: Callable[[Opened], Once], bench: Run, *, tasks: int = 1) -> Table:
    """Let every contender do it in each round, all on the same servers."""
    with cluster(1) as servers:
        async with AsyncExitStack() as stack:

            async def make(factory: Any) -> Once:
                once = work(await enter(stack, factory, servers.servers))
                found = set(await asyncio.gather(*(once(1) for _ in range(_WARM))))
                if found != {"user 1"}:
                    message = f"returned {found!r:.60}"
                    raise LookupError(message)
                return once

            built = await build(bench.peers, "opened", make)
            subjects = [Subject(name=name, lap=_lap(once, tasks)) for name, once in built.calls.items()]
            plan = replace(bench.plan, lap=bench.plan.lap * _LAPS)
            timings, failed = await interleave(subjects, plan, bench.bar(plan.rounds))
    rows = [*built.rows, *(Row(name=name, failed=error) for name, error in failed.items())]
    for name, timing in timings.items():
        peer = bench.by_name[name]
        figures = _figures(timing, timings.get(YARDSTICK))
        rows.append(Row(name=name, figures=figures, reference=peer.reference, note=peer.note(head.key)))
    what = f"{head.what} Wall time; × is the median of the quotients with SQLAlchemy (with pre-ping) in the same round."
    return Table(
        head=replace(head, what=what),
        columns=(
            Column("us", "per call", "us"),
            Column("rate", "calls/s", "count"),
            Column("ratio", f"× {YARDSTICK}", "ratio"),
            Column("spread", "spread", "percent"),
            Column("cpu", "CPU per call", "us"),
            Column("cpu_ratio", "CPU ×", "ratio"),
        ),
        rows=ordered(rows, "ratio" if YARDSTICK in timings else "us"),
        rank="ratio",
    )


def _lap(once: Once, tasks: int) -> Lap:
    users = count()

    async def task(calls: int) -> None:
        for _ in range(calls):
            await once(next(users) % USERS + 1)

    async def lap(calls: int) -> None:
        if tasks == 1:
            await task(calls)
            return
        each, more = divmod(calls, tasks)
        await asyncio.gather(*(task(each + (number < more)) for number in range(tasks)))

    return lap


def _figures(mine: Timing, reference: Timing | None) -> dict[str, Figure]:
    wall = median(mine.wall)
    shown: dict[str, Figure] = {"us": wall / 1e3, "rate": 1e9 / wall, "cpu": mine.ns / 1e3}
    if reference is not None:
        quotients = [one / other for one, other in zip(mine.wall, reference.wall, strict=True)]
        low, middle, high = quantiles(quotients, n=4)
        shown |= {"ratio": median(quotients), "spread": (high - low) / middle, "cpu_ratio": mine.over(reference)}
    return shown
