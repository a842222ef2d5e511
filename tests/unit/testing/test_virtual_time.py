import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.testing import DeadlockError, FakeClock, virtual_time


def elapsed(main: Coroutine[Any, Any, Any]) -> float:
    clock = FakeClock()
    virtual_time.run(main, clock=clock)
    return clock.monotonic()


def test_a_million_seconds_pass_at_once():
    before = time.monotonic()
    assert elapsed(asyncio.sleep(10**6)) == 10**6
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("seconds", [86_400.5, 1e9, 1e12, 1e15])
def test_no_wait_is_too_long(seconds):
    async def main() -> None:
        for _ in range(3):
            await asyncio.sleep(seconds)

    assert elapsed(main()) == pytest.approx(3 * seconds)


def test_the_loops_time_is_the_clocks():
    clock = FakeClock()
    clock.advance(5)

    async def main() -> tuple[float, float]:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(2.5)
        return began, asyncio.get_running_loop().time()

    assert virtual_time.run(main(), clock=clock) == (5, 7.5)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_sleepers_wake_in_the_order_of_their_times_exactly_then(delays):
    clock = FakeClock()
    woken: list[tuple[float, int]] = []

    async def sleeper(number: int, delay: float) -> None:
        await asyncio.sleep(delay)
        woken.append((clock.monotonic(), number))

    async def main() -> None:
        await asyncio.gather(*(sleeper(number, delay) for number, delay in enumerate(delays)))

    virtual_time.run(main(), clock=clock)
    assert [number for _, number in woken] == sorted(range(len(delays)), key=lambda number: delays[number])
    for moment, number in woken:
        assert moment == pytest.approx(delays[number], abs=2e-6)


def test_timers_of_the_same_time_run_in_the_order_in_which_they_were_set():
    ran: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(100):
            loop.call_later(3, ran.append, number)
        await asyncio.sleep(3)

    assert elapsed(main()) == 3
    assert ran == list(range(100))


def test_timeout_and_wait_for_cut_on_time():
    clock = FakeClock()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(30)
        assert clock.monotonic() == 3
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 4)
        assert clock.monotonic() == 7
        assert await asyncio.wait_for(asyncio.sleep(1, "done"), 4) == "done"

    virtual_time.run(main(), clock=clock)
    assert clock.monotonic() == 8


@pytest.mark.parametrize(("outer", "inner"), [(2, 5), (5, 2)])
def test_the_shorter_of_nested_timeouts_cuts(outer, inner):
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(outer), asyncio.timeout(inner):
                await asyncio.sleep(60)

    assert elapsed(main()) == 2


def test_a_cancelled_timer_moves_nothing():
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, pytest.fail, "cancelled timers do not run").cancel()
        later = loop.call_later(50, pytest.fail, "nor later ones")
        await asyncio.sleep(2)
        later.cancel()

    assert elapsed(main()) == 2


def test_a_timer_in_the_past_runs_now():
    async def main() -> None:
        await asyncio.sleep(4)
        ran = asyncio.Event()
        asyncio.get_running_loop().call_at(1, ran.set)
        await ran.wait()

    assert elapsed(main()) == 4


def test_queues_hand_over_between_tasks():
    async def producer(queue: asyncio.Queue[int]) -> None:
        for number in range(100):
            await asyncio.sleep(0.5)
            await queue.put(number)

    async def main() -> list[int]:
        queue = asyncio.Queue[int](maxsize=3)
        task = asyncio.create_task(producer(queue))
        got = []
        for _ in range(100):
            got.append(await queue.get())
            await asyncio.sleep(1)
        await task
        return got

    clock = FakeClock()
    assert virtual_time.run(main(), clock=clock) == list(range(100))
    assert clock.monotonic() == 100.5


def test_threads_work_in_real_time_while_the_clock_stands_still():
    clock = FakeClock()
    go = threading.Event()

    def blocking() -> tuple[float, str]:
        go.wait(5)
        return clock.monotonic(), threading.current_thread().name

    async def main() -> tuple[tuple[float, str], tuple[float, str]]:
        loop = asyncio.get_running_loop()
        loop.call_later(60, pytest.fail, "the clock ran on")
        loop.call_soon(go.set)
        with ThreadPoolExecutor(thread_name_prefix="own") as pool:
            return await asyncio.gather(loop.run_in_executor(pool, blocking), asyncio.to_thread(blocking))

    (first, own), (second, _) = virtual_time.run(main(), clock=clock)
    assert first == second == 0
    assert own.startswith("own")


def test_an_executor_that_refuses_leaves_the_clock_running():
    pool = ThreadPoolExecutor()
    pool.shutdown()

    async def main() -> None:
        with pytest.raises(RuntimeError, match="shutdown"):
            asyncio.get_running_loop().run_in_executor(pool, print)
        await asyncio.sleep(5)

    assert elapsed(main()) == 5


def test_an_error_in_a_thread_is_raised():
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        await asyncio.sleep(1)

    assert elapsed(main()) == 1


def test_a_deadlock_names_the_tasks_and_where_each_waits():
    async def worker(event: asyncio.Event) -> None:
        await event.wait()

    async def main() -> None:
        task = asyncio.create_task(worker(asyncio.Event()), name="worker-7")
        await task

    with pytest.raises(DeadlockError) as caught:
        virtual_time.run(main())
    message = str(caught.value)
    assert message.startswith("deadlock: every task waits and no timer is due\n")
    for name, function in (("worker-7", worker), ("Task-", main)):
        [line] = [line for line in message.splitlines() if line.startswith(f"  {name}")]
        assert function.__qualname__ in line
        assert f"{__file__}:{function.__code__.co_firstlineno + (1 if function is worker else 2)}" in line


def test_a_task_that_sleeps_for_ever_is_a_deadlock():
    with pytest.raises(DeadlockError):
        virtual_time.run(asyncio.sleep(float("inf")))


def test_a_deadlock_lets_the_tasks_clean_up():
    cleaned: list[float] = []
    clock = FakeClock()

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(2)
            cleaned.append(clock.monotonic())

    with pytest.raises(DeadlockError):
        virtual_time.run(main(), clock=clock)
    assert cleaned == [2]


def test_ten_thousand_sleepers_wake():
    async def main() -> None:
        await asyncio.gather(*(asyncio.sleep(number / 7) for number in range(10_000)))

    assert elapsed(main()) == 9_999 / 7


def test_an_error_of_main_goes_through():
    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyError("k")

    with pytest.raises(KeyError):
        virtual_time.run(main())
