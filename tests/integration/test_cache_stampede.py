"""Many callers in many processes want a key that nobody has: one of them loads it."""

import asyncio
import time
from typing import Any

import pytest

from seawall.cache import LoadFailedError
from tests.integration.cache_processes import Processes, Worker, processes, until

CALLERS = 1000
PATIENT = 5.0
"""A machine that runs all tests at once answers late; that is no outage."""


async def storm(worker: Worker, key: str, starts: float, seconds: float, patience: float) -> list[Any]:
    """CALLERS callers at once; what each got. Those with a patience leave after so many seconds."""

    async def call() -> Any:
        try:
            async with asyncio.timeout(patience or None):
                return await worker.cache.get_or_set(key, worker.loader(0, seconds))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return type(error).__name__

    await asyncio.sleep(until(starts))
    return sorted({str(result) for result in await asyncio.gather(*(call() for _ in range(CALLERS)))})


async def failing(worker: Worker, key: str, starts: float) -> list[str]:
    async def load() -> int:
        await worker.loader(0, 0.3)()
        message = "the source is down"
        raise ConnectionError(message)

    async def call() -> str:
        with pytest.raises((ConnectionError, LoadFailedError)) as caught:
            await worker.cache.get_or_set(key, load)
        return type(caught.value).__name__

    await asyncio.sleep(until(starts))
    return sorted(set(await asyncio.gather(*(call() for _ in range(CALLERS)))))


@pytest.fixture(scope="module")
def four(redis_server: str) -> Any:
    with processes(redis_server, timeout=PATIENT) as running:
        running.truth[0] = 42
        yield running


@pytest.fixture
def fresh(four: Processes) -> Processes:
    four.loads.value = 0
    return four


def test_one_load(fresh):
    results = fresh.run(storm, "storm:short", time.time() + 0.3, 0.5, 0.0)
    assert results == [["42"]] * 4
    assert fresh.loads.value == 1


def test_one_load_when_it_takes_longer_than_a_lease(fresh):
    results = fresh.run(storm, "storm:long", time.time() + 0.3, 4.5, 0.0)
    assert results == [["42"]] * 4
    assert fresh.loads.value == 1


def test_a_leader_who_is_cancelled_leaves_the_load_to_the_others(fresh):
    """All callers of the first process leave while it loads; another process takes over, and nobody else is harmed."""
    fresh.send_to(0, storm, "storm:cancelled", time.time() + 0.1, 3.0, 1.5)
    for number in (1, 2, 3):
        fresh.send_to(number, storm, "storm:cancelled", time.time() + 0.5, 3.0, 0.0)
    assert fresh.receive(0) == ["TimeoutError"]
    assert [fresh.receive(number) for number in (1, 2, 3)] == [["42"]] * 3
    assert fresh.loads.value == 2


def test_one_load_when_it_fails(fresh):
    results = fresh.run(failing, "storm:failing", time.time() + 0.3)
    assert sorted(results) == [["ConnectionError"]] + [["LoadFailedError"]] * 3
    assert fresh.loads.value == 1


def test_a_leader_that_is_killed_costs_one_more_load(redis_server):
    with processes(redis_server, timeout=PATIENT) as four:
        four.truth[0] = 42
        four.send_to(0, storm, "storm:killed", time.time(), 30.0, 0.0)
        ends = time.monotonic() + 10.0
        while four.loads.value == 0 and time.monotonic() < ends:
            time.sleep(0.01)
        for number in (1, 2, 3):
            four.send_to(number, storm, "storm:killed", time.time(), 1.0, 0.0)
        time.sleep(0.3)
        assert four.loads.value == 1
        four.kill(0)
        assert [four.receive(number) for number in (1, 2, 3)] == [["42"]] * 3
        assert four.loads.value == 2


@pytest.mark.torture
def test_one_load_of_30_seconds(fresh):
    results = fresh.run(storm, "storm:30", time.time() + 0.3, 30.0, 0.0)
    assert results == [["42"]] * 4
    assert fresh.loads.value == 1
