"""Cached functions that are no coroutines: from many threads, on the loop, without one, and what could lock up."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from seawall.cache import Cache, Freshness, LoadTimeoutError, MemoryTier
from seawall.core import deadline
from seawall.testing import Store, StoreTier

PATIENCE = 10.0


def within_time(work: Callable[[], Any]) -> Any:
    """What `work` returns in a thread of its own; fails the test where it never does."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(work()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it waits for ever"
    return result[0]


class Slow:
    """Counts its calls, each of which takes a moment."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds
        self.calls = 0

    def __call__(self, number: int) -> list[int]:
        self.calls += 1
        time.sleep(self.seconds)
        return [number]


def make(tier: bool, **options: Any) -> Cache:
    return Cache(MemoryTier(), *([StoreTier(Store())] if tier else []), freshness=Freshness(**options))


@pytest.mark.parametrize("tier", [False, True])
def test_one_load_for_50_threads_of_a_running_loop(tier):
    slow = Slow()

    async def main() -> list[Any]:
        async with make(tier) as cache:
            cached = cache.cached("k:{number}")(lambda number: slow(number))
            with ThreadPoolExecutor(50) as threads:
                loop = asyncio.get_running_loop()
                return await asyncio.gather(*(loop.run_in_executor(threads, cached, 1) for _ in range(50)))

    found = within_time(lambda: asyncio.run(main()))
    assert found == [[1]] * 50
    assert len({id(each) for each in found}) == 50
    assert slow.calls == 1


def test_one_load_for_50_threads_without_a_loop():
    slow, cache = Slow(), Cache()
    cached = cache.cached("k:{number}")(lambda number: slow(number))
    with ThreadPoolExecutor(50) as threads:
        found = list(threads.map(cached, [1] * 50))
    assert found == [[1]] * 50
    assert slow.calls == 1
    assert len(cache._turns) == 0


@pytest.mark.parametrize("keys", [1, 100])
def test_callers_that_fill_the_executor_get_their_loads(keys):
    """Every worker of the loop's executor waits for a load: it must not need a worker of that executor."""
    slow = Slow(0.01)

    async def main() -> list[Any]:
        async with Cache() as cache:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
            cached = cache.cached("k:{number}")(lambda number: slow(number))
            return await asyncio.gather(*(asyncio.to_thread(cached, number % keys) for number in range(100)))

    found = within_time(lambda: asyncio.run(main()))
    assert found == [[number % keys] for number in range(100)]
    assert slow.calls == keys


def test_loads_that_need_each_other_find_threads():
    async def main() -> Any:
        async with Cache() as cache:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

            @cache.cached("sum:{number}")
            def sum_to(number: int) -> int:
                return number + sum_to(number - 1) if number else 0

            return await asyncio.to_thread(sum_to, 50)

    assert within_time(lambda: asyncio.run(main())) == 1275


def test_on_the_loops_own_thread_it_runs_at_once():
    slow = Slow()

    async def main() -> list[Any]:
        async with Cache() as cache:
            cached = cache.cached("k:{number}")(lambda number: slow(number))
            return [cached(1), cached(1), await asyncio.to_thread(cached, 1)]

    assert within_time(lambda: asyncio.run(main())) == [[1]] * 3
    assert slow.calls == 1


@pytest.mark.parametrize("where", ["loop", "thread", "nowhere"])
def test_a_function_that_needs_its_own_result_does_not_wait_for_ever(where):
    cache = Cache()

    @cache.cached("k:{number}")
    def function(number: int) -> int:
        return function(number) + 1

    async def main() -> None:
        async with cache:
            if where == "loop":
                function(1)
            else:
                await asyncio.to_thread(function, 1)

    def work() -> BaseException | None:
        try:
            if where == "nowhere":
                function(1)
            else:
                asyncio.run(main())
        except Exception as error:  # noqa: BLE001 - whatever it is
            return error
        return None

    assert isinstance(within_time(work), RuntimeError)  # RecursionError is one


@pytest.mark.parametrize("error", [ValueError, StopIteration, TimeoutError, asyncio.CancelledError])
@pytest.mark.parametrize("where", ["loop", "thread", "nowhere"])
def test_an_error_of_the_function_ends_the_wait(error, where):
    cache = Cache()

    @cache.cached("k:{number}")
    def function(number: int) -> int:
        raise error("no")

    async def main() -> None:
        async with cache:
            if where == "loop":
                function(1)
            else:
                await asyncio.to_thread(function, 1)

    def work() -> BaseException | None:
        try:
            if where == "nowhere":
                function(1)
            else:
                asyncio.run(main())
        except BaseException as raised:  # noqa: BLE001 - whatever it is
            return raised
        return None

    assert within_time(work) is not None
    assert cache.shared.flights == {}
    assert cache.memory.nodes == {}


def test_a_caller_without_time_leaves_and_the_others_stay():
    slow = Slow(0.3)

    async def main() -> None:
        async with Cache() as cache:
            cached = cache.cached("k:{number}")(lambda number: slow(number))

            def hasty() -> None:
                with deadline.within(0.05), pytest.raises(TimeoutError):
                    cached(1)

            other = asyncio.create_task(asyncio.to_thread(cached, 1))
            await asyncio.to_thread(hasty)
            assert await other == [1]
            assert slow.calls == 1

    within_time(lambda: asyncio.run(main()))


def test_a_loop_that_ends_leaves_nobody_waiting():
    """A thread asks while the loop goes: it gets an answer or an error."""
    cache = Cache()
    ended: list[Any] = []
    asks = threading.Event()

    @cache.cached("k:{number}")
    def function(number: int) -> int:
        asks.set()
        time.sleep(0.3)
        return number

    def ask(number: int) -> None:
        try:
            ended.append(function(number))
        except BaseException as error:  # noqa: BLE001 - whatever it is
            ended.append(error)

    async def main() -> None:
        await cache.__aenter__()
        for thread in threads:
            thread.start()
        await asyncio.to_thread(asks.wait)

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(10)]
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    for thread in threads:
        thread.join(3.0)
    assert len(ended) == 10
    loop.run_until_complete(asyncio.sleep(0.5))
    loop.run_until_complete(cache.__aexit__(None, None, None))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_a_change_made_while_it_loads_without_a_loop_is_not_undone():
    cache = Cache()
    begun, changed = threading.Event(), threading.Event()

    @cache.cached("k:{number}")
    def function(number: int) -> str:
        begun.set()
        assert changed.wait(PATIENCE)
        return "old"

    def work() -> None:
        assert function(1) == "old"

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(PATIENCE)
    asyncio.run(cache.delete("k:1"))
    changed.set()
    thread.join(PATIENCE)
    assert cache.get_nowait("k:1") is None


def test_a_stale_value_stands_in_for_a_function_that_fails_on_the_loop(clock, run):
    cache = Cache(freshness=Freshness(ttl=10.0, jitter=0.0, fail_safe=60.0), clock=clock)
    fail = False

    @cache.cached("k:{number}")
    def function(number: int) -> list[int]:
        if fail:
            raise ConnectionError
        return [number]

    async def main() -> None:
        nonlocal fail
        assert function(1) == [1]
        await asyncio.sleep(11.0)
        fail = True
        assert function(1) == [1]

    run(main())


def test_a_refresh_does_not_block_the_loop():
    async def main() -> float:
        async with Cache() as cache:
            cached = cache.cached("k:{number}")(lambda number: time.sleep(0.3))
            refresh = asyncio.create_task(cached.refresh(1))
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = time.monotonic() - began
            await refresh
            return longest

    assert within_time(lambda: asyncio.run(main())) < 0.2


def test_the_deadline_of_the_caller_is_not_the_loads():
    async def main() -> None:
        async with Cache() as cache:
            cached = cache.cached("k:{number}")(lambda number: deadline.remaining())

            def ask() -> Any:
                with deadline.within(5.0):
                    return cached(1)

            assert await asyncio.to_thread(ask) is None

    within_time(lambda: asyncio.run(main()))


def test_a_hard_timeout_ends_the_wait():
    async def main() -> None:
        async with make(False, hard_timeout=0.05) as cache:
            cached = cache.cached("k:{number}")(lambda number: time.sleep(0.3))
            with pytest.raises(LoadTimeoutError):
                await asyncio.to_thread(cached, 1)

    within_time(lambda: asyncio.run(main()))
