"""The queue of a pool: first come, first served, and nothing lost when somebody leaves."""

import asyncio
import contextlib
import random
import sqlite3
from typing import Any

import pytest
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.queue import Empty, Full

from seawall.core import deadline
from seawall.database import Database, DatabaseBusyError, PoolTimeoutError, QueryTimeoutError
from seawall.database.fair import FairQueue
from seawall.testing.virtual_time import run


def entry(number: int) -> Any:
    return number


async def take(queue: FairQueue, timeout: float | None = None) -> Any:
    return await greenlet_spawn(queue.get, True, timeout)


def test_who_waits_is_served_before_who_comes_along():
    async def main() -> None:
        queue = FairQueue(2)
        waiting = [asyncio.create_task(take(queue)) for _ in range(2)]
        await asyncio.sleep(0)
        queue.put_nowait(entry(1))
        # Nobody waiting has run yet; asyncio's queue would give it to this one.
        with pytest.raises(Empty):
            queue.get_nowait()
        queue.put_nowait(entry(2))
        assert await asyncio.gather(*waiting) == [1, 2]

    run(main())


def test_the_last_one_used_is_used_first_and_too_many_are_refused():
    queue = FairQueue(2)
    queue.put(entry(1))
    queue.put(entry(2))
    with pytest.raises(Full):
        queue.put_nowait(entry(3))
    assert (queue.qsize(), queue.full()) == (2, True)
    assert queue.get(False) == entry(2)
    assert queue.get(False) == entry(1)
    assert queue.empty()
    with pytest.raises(Empty):
        queue.get(False)


def test_nobody_waits_longer_than_asked():
    async def main() -> None:
        queue = FairQueue(1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Empty):
            await take(queue, 3.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)
        queue.put_nowait(entry(1))
        assert queue.qsize() == 1

    run(main())


def test_a_connection_handed_to_one_who_leaves_goes_to_the_next():
    async def main() -> None:
        queue = FairQueue(1)
        leaves, stays = (asyncio.create_task(take(queue)) for _ in range(2))
        await asyncio.sleep(0)
        queue.put_nowait(entry(1))
        leaves.cancel()
        assert await stays == 1
        with pytest.raises(asyncio.CancelledError):
            await leaves

    run(main())


def test_none_is_lost_whoever_leaves_when():
    async def main() -> None:
        draw, queue = random.Random(3), FairQueue(3)
        for number in range(3):
            queue.put_nowait(entry(number))
        held: set[int] = set()

        async def user() -> None:
            try:
                mine = await take(queue, draw.choice([0.5, 2.0, 50.0]))
            except Empty:
                return
            assert mine not in held
            held.add(mine)
            try:
                await asyncio.sleep(draw.random())
            finally:
                held.remove(mine)
                queue.put_nowait(mine)

        users = []
        for _ in range(400):
            users.append(asyncio.create_task(user()))
            await asyncio.sleep(draw.random() / 5)
            if draw.random() < 0.4:
                draw.choice(users).cancel()
        await asyncio.gather(*users, return_exceptions=True)
        assert {queue.get_nowait() for _ in range(3)} == {entry(0), entry(1), entry(2)}
        assert not queue._waiting

    run(main())


def test_of_an_sqlite_file_no_more_connections_are_made_than_asked_for_and_the_wait_is_bounded(tmp_path):
    async def main() -> None:
        url = f"sqlite:///{tmp_path}/test.db"
        async with Database(url, name="books", pool_size=1, max_overflow=1, pool_timeout=0.1) as database:
            async with database.read(), database.read():
                told = r"'books'.* all 2 connections .* in use for 0.1 s"
                with pytest.raises(PoolTimeoutError, match=told) as caught:
                    await database.fetch("SELECT 1")
                with deadline.within(0.02), pytest.raises(QueryTimeoutError, match="'books'"):
                    await database.fetch("SELECT 1")
            assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
            assert await database.fetch("SELECT 1")

    asyncio.run(main())


def test_who_waits_too_long_for_another_writer_of_the_file_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr("seawall.database.sqlite._PRAGMAS", ("busy_timeout=20",))

    async def main() -> None:
        async with Database(f"sqlite:///{tmp_path}/test.db", name="books") as database:
            await database.fetch("CREATE TABLE t (n integer)")
            with contextlib.closing(sqlite3.connect(tmp_path / "test.db")) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(DatabaseBusyError, match="one writer at a time") as caught:
                    await database.fetch("INSERT INTO t VALUES (1)")
            assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
            await database.fetch("INSERT INTO t VALUES (1)")

    asyncio.run(main())
