"""After everything has calmed down, no process holds a value older than the last write, whatever happened."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from seawall.testing import Valkey
from tests.integration.cache_processes import Processes, Worker, processes

KEYS = 200
TAGS = 20
TASKS = 20
LAST_WORD = "the last word"


def key_of(index: int) -> str:
    return f"number:{index}"


def tag_of(index: int) -> str:
    return f"group:{index % TAGS}"


async def churn(worker: Worker, seconds: float, seed: int) -> int:
    """Read and write at random for `seconds`; how many operations that were.

    A writer changes the truth and then the cache, under a lock of the key, as a database's row lock would have it.
    """
    chance = random.Random(seed * 10 + worker.number)
    ends = time.monotonic() + seconds
    done = 0

    async def write(index: int) -> None:
        cache = worker.cache
        kind = chance.random()
        if kind < 0.45:
            await cache.delete(key_of(index))
        elif kind < 0.6:
            await cache.invalidate(tag_of(index))
        elif kind < 0.61:
            await cache.clear()
        else:
            await cache.set(key_of(index), int(worker.truth[index]), tags=[tag_of(index)])

    async def task() -> None:
        nonlocal done
        while time.monotonic() < ends:
            index = min(int(chance.expovariate(12.0 / KEYS)), KEYS - 1)
            if chance.random() < 0.85:
                slow = chance.random() * 0.02 if chance.random() < 0.3 else 0.0
                await worker.cache.get_or_set(key_of(index), worker.loader(index, slow), tags=[tag_of(index)])
            elif worker.locks.take(index):
                try:
                    with worker.truth.get_lock():
                        worker.truth[index] += 1
                    await write(index)
                finally:
                    worker.locks.give(index)
            done += 1
            if not done % 50:
                await asyncio.sleep(0)

    await asyncio.gather(*(task() for _ in range(TASKS)))
    return done


async def stale(worker: Worker) -> list[tuple[int, int, int]]:
    """Keys whose cached value is not the truth: index, cached, true."""
    found = []
    for index in range(KEYS):
        true = int(worker.truth[index])
        for cached in (
            worker.cache.get_nowait(key_of(index), true),
            await worker.cache.get(key_of(index), true),
            await worker.cache.get_or_set(key_of(index), worker.loader(index), tags=[tag_of(index)]),
        ):
            found += [(index, cached, true)] if cached != true else []
    return found


async def is_up(worker: Worker) -> bool:
    return worker.cache.shared.available


async def remember(worker: Worker, _: int) -> int:
    """Have the last word in memory, so that its change is news."""
    value: int = await worker.cache.get_or_set(LAST_WORD, lambda: 0)
    return value


async def say(worker: Worker, word: int) -> None:
    if worker.number == 0:
        await worker.cache.set(LAST_WORD, word)


async def has_heard(worker: Worker, word: int) -> bool:
    """Whether the last word's change has been heard of, and so all that was said before."""
    return bool(await worker.cache.get_or_set(LAST_WORD, lambda: 0) == word)


def quiet(running: Processes) -> None:
    """Wait until every process has the server back, and what was said has been heard, however busy the machine is."""
    until(running, is_up, within=5.0, else_="a process did not get its server back")
    running.run(remember, 0)
    running.run(say, 1)
    until(running, has_heard, 1, within=20.0, else_="a process has not heard the last word")
    time.sleep(0.3)


def until(running: Processes, job: Any, *args: int, within: float, else_: str) -> None:
    ends = time.monotonic() + within
    while not all(running.run(job, *args)):
        assert time.monotonic() < ends, else_
        time.sleep(0.05)


def torture(server: Valkey, seconds: float, seed: int, options: dict[str, Any], faults: list[str]) -> int:
    import redis

    chance = random.Random(seed)
    with processes(server.url, count=4, keys=KEYS, **options) as running:
        running.send(churn, seconds, seed)
        ends = time.monotonic() + seconds
        while faults and time.monotonic() < ends - 1.0:
            time.sleep(chance.uniform(0.1, 0.5))
            fault = chance.choice(faults)
            if fault == "cut":
                with redis.Redis.from_url(server.url) as client:
                    listed: Any = client.client_list()
                    victims = [each["id"] for each in listed if each["name"]]
                    if victims:
                        client.client_kill_filter(_id=chance.choice(victims))
            elif fault == "stop":
                server.pause()
                time.sleep(chance.choice([0.02, 0.05, 0.08, 0.3, 1.5]))
                server.resume()
            else:
                server.kill()
                time.sleep(chance.uniform(0.0, 0.3))
                server.start()
        done = sum(int(running.receive(number)) for number in range(4))
        quiet(running)
        wrong = running.run(stale)
        assert wrong == [[]] * 4, f"seed {seed}: after {done} operations"
        return done


@pytest.mark.parametrize(
    "options",
    [pytest.param({}, id="news"), pytest.param({"backlog": 10_000}, id="backlog", marks=pytest.mark.torture)],
)
def test_nothing_is_stale_after_connections_were_cut_and_the_server_stopped_and_killed(make_valkey, options):
    done = torture(make_valkey(), 6.0, 1, options, ["cut", "stop", "kill"])
    assert done > 1_000


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, {"backlog": 10_000}], ids=["news", "backlog"])
def test_nothing_is_stale_after_a_long_bad_day(make_valkey, options, seed):
    done = torture(make_valkey(), 40.0, seed + 10, options, ["cut", "stop", "kill"])
    print(f"{done} operations")  # noqa: T201
    assert done > 100_000
