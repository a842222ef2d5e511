"""Bulkhead: how many run, who waits for how long, and what is given back."""

import asyncio
import pickle
from typing import Any

import pytest

from seawall.core import Events, OptionError, deadline
from seawall.resilience import Bulkhead, BulkheadFullError, CallRejected
from seawall.testing import EventRecorder, FakeClock, virtual_time


class Work:
    """Calls that take a second; notes when each began, and the most that ran at once."""

    def __init__(self, slots: Bulkhead, clock: FakeClock) -> None:
        self.clock = clock
        self.begun: list[tuple[int, float]] = []
        self.running = self.most = 0
        self.call = slots(self._call)

    async def _call(self, number: int) -> int:
        self.begun.append((number, self.clock.monotonic()))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(1.0)
        finally:
            self.running -= 1
        return number


def bulkhead(clock: FakeClock, limit: int = 2, **options: Any) -> tuple[Bulkhead, Work]:
    slots = Bulkhead(limit, clock=clock, name="db", **options)
    return slots, Work(slots, clock)


def idle(slots: Bulkhead) -> bool:
    return (slots.permits.in_use, slots.permits.waiting) == (0, 0)


def test_calls_beyond_running_and_waiting_are_refused() -> None:
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    slots, work = bulkhead(clock, 2, max_waiting=3, events=events)

    async def main() -> list[Any]:
        return await asyncio.gather(*map(work.call, range(8)), return_exceptions=True)

    outcomes = virtual_time.run(main(), clock=clock)
    assert outcomes[:5] == [0, 1, 2, 3, 4]
    assert [str(error) for error in outcomes[5:]] == ["bulkhead 'db' is full: 2 run and 3 wait"] * 3
    assert work.begun == [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0), (4, 2.0)]
    assert (work.most, slots.statistics().rejected, idle(slots)) == (2, 3, True)
    assert recorder.events == [CallRejected(policy="db", reason="bulkhead-full")] * 3


def test_statistics_show_what_runs_and_waits() -> None:
    clock = FakeClock()
    slots, work = bulkhead(clock, 2, max_waiting=3)

    async def main() -> None:
        tasks = [asyncio.create_task(work.call(number)) for number in range(4)]
        await asyncio.sleep(0.5)
        statistics = slots.statistics()
        assert (statistics.running, statistics.waiting) == (2, 2)
        assert (statistics.max_concurrent, statistics.max_waiting, statistics.rejected) == (2, 3, 0)
        await asyncio.gather(*tasks)

    virtual_time.run(main(), clock=clock)


@pytest.mark.parametrize(("max_wait", "left", "waited"), [(0.5, None, 0.5), (5.0, 0.25, 0.25), (None, 0.75, 0.75)])
def test_wait_ends_at_max_wait_or_at_the_deadline(max_wait: float | None, left: float | None, waited: float) -> None:
    clock = FakeClock()
    slots, work = bulkhead(clock, 1, max_waiting=1, max_wait=max_wait)

    async def main() -> None:
        first = asyncio.create_task(work.call(1))
        await asyncio.sleep(0)
        with deadline.within(left or 100.0, clock=clock), pytest.raises(BulkheadFullError) as raised:
            await work.call(2)
        assert raised.value.waited == pytest.approx(waited)
        assert clock.monotonic() == pytest.approx(waited)
        assert await first == 1

    virtual_time.run(main(), clock=clock)
    assert idle(slots)


def test_cancelled_waiter_leaves_and_the_next_is_served() -> None:
    clock = FakeClock()
    slots, work = bulkhead(clock, 1, max_waiting=2)

    async def main() -> None:
        tasks = [asyncio.create_task(work.call(number)) for number in range(3)]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert slots.permits.waiting == 1
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual_time.run(main(), clock=clock)
    assert work.begun == [(0, 0.0), (2, 1.0)]
    assert idle(slots)


@pytest.mark.parametrize("grant_first", [True, False])
def test_permit_on_its_way_to_a_cancelled_waiter_goes_to_the_next(grant_first: bool) -> None:
    clock = FakeClock()
    slots, work = bulkhead(clock, 1, max_waiting=2)

    async def main() -> None:
        with slots.guard():
            tasks = [asyncio.create_task(work.call(number)) for number in range(2)]
            await asyncio.sleep(0)
            if not grant_first:
                tasks[0].cancel()
        if grant_first:
            tasks[0].cancel()
        assert isinstance((await asyncio.gather(*tasks, return_exceptions=True))[0], asyncio.CancelledError)

    virtual_time.run(main(), clock=clock)
    assert work.begun == [(1, 0.0)]
    assert idle(slots)


def test_newcomer_does_not_overtake_those_who_wait() -> None:
    clock = FakeClock()
    _, work = bulkhead(clock, 1, max_waiting=5)

    async def main() -> None:
        first = asyncio.create_task(work.call(0))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(work.call(number)) for number in (1, 2)]
        await first  # its permit is on its way to 1
        await work.call(3)
        await asyncio.gather(*waiting)

    virtual_time.run(main(), clock=clock)
    assert [number for number, _ in work.begun] == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, asyncio.CancelledError])
def test_failed_call_gives_its_place_back(error: type[BaseException]) -> None:
    slots = Bulkhead(1)

    @slots
    def fails() -> None:
        raise error

    for _ in range(3):
        with pytest.raises(error):
            fails()
    assert idle(slots)


def test_nested_calls_of_one_task_take_a_place_each() -> None:
    slots = Bulkhead(2)

    @slots
    def recursive(depth: int) -> int:
        return depth if depth == 0 else recursive(depth - 1)

    assert recursive(1) == 0
    with pytest.raises(BulkheadFullError):
        recursive(2)
    assert idle(slots)


def test_error_can_be_pickled_with_its_data() -> None:
    error = pickle.loads(pickle.dumps(BulkheadFullError("db", 2, 3, 0.5)))
    assert str(error) == "bulkhead 'db' had no place within 0.5 s (2 run)"
    assert error.attributes == {
        "name": "db",
        "retry_after": None,
        "max_concurrent": 2,
        "max_waiting": 3,
        "waited": 0.5,
    }


@pytest.mark.parametrize("options", [{"max_concurrent": 0}, {"max_waiting": -1}, {"max_wait": -0.1}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"Bulkhead: {next(iter(options))} is"):
        Bulkhead(**{"max_concurrent": 1} | options)
