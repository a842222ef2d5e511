"""Under many threads counts are exact; after many failures and rejections nothing is left."""

import asyncio
import gc
import itertools
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from seawall.resilience import CircuitBreaker, CircuitOpenError, CircuitState
from seawall.resilience.window import TimeWindow
from seawall.testing import FakeClock, virtual_time


def in_threads(count: int, work: Callable[[int], object]) -> None:
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("eager_threads")
class TestThreads:
    @pytest.mark.parametrize(
        "options", [{}, {"slow_call": 50.0}, {"mode": "time"}, {"mode": "time", "slow_call": 50.0}]
    )
    def test_counts_are_exact_under_eight_threads(self, options):
        ticks = itertools.count()
        clock = FakeClock()
        # Every look at the clock moves it a little, so that buckets and generations end all the time.
        clock.monotonic = lambda: next(ticks) * 0.0005  # type: ignore[method-assign]
        breaker = CircuitBreaker(window=1_000_000, minimum_calls=1_000_000, clock=clock, **options)

        @breaker
        def call(number: int) -> None:
            if number % 10 == 0:
                raise ConnectionError

        def work(_: int) -> None:
            for number in range(2500):
                with suppress(ConnectionError):
                    call(number)

        in_threads(8, work)
        statistics = breaker.statistics()
        assert (statistics.calls, statistics.failed, statistics.slow, statistics.hung) == (20_000, 2000, 0, 0)

    def test_rejections_and_trials_are_exact_under_eight_threads(self):
        clock = FakeClock()
        breaker = CircuitBreaker(open_for=1.0, permits=3, successes=1_000_000, trial_lease=1e9, clock=clock)
        breaker.open()
        counted = [0] * 8
        admitted = [0] * 8
        live: list[int] = []
        most: list[int] = []

        @breaker
        def call() -> None:
            live.append(1)
            most.append(len(live))
            live.pop()

        def work(number: int) -> None:
            for step in range(2000):
                if step == 1000 and number == 0:
                    clock.advance(1)
                try:
                    call()
                    admitted[number] += 1
                except CircuitOpenError:
                    counted[number] += 1

        in_threads(8, work)
        statistics = breaker.statistics()
        assert statistics.rejected == sum(counted)
        assert sum(counted) + sum(admitted) == 16_000
        assert max(most) <= 3
        assert (statistics.state, statistics.trials) == (CircuitState.HALF_OPEN, 0)

    def test_no_call_is_lost_while_a_bucket_ends(self):
        for _ in range(150):
            window = TimeWindow(10.0, 0.0)

            def work(number: int, window: TimeWindow = window) -> None:
                for step in range(1, 10):
                    if number == 0:
                        window.roll(float(step))
                    for _ in range(20):
                        window.passed += 1

            in_threads(3, work)
            assert window.totals(9.5).calls == 3 * 9 * 20


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def growth(work: Callable[[], object]) -> int:
    """Bytes that are still held after `work`, which has run once before."""
    work()
    with no_collector():
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            work()
            return tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()


class TestMemory:
    @pytest.mark.parametrize("options", [{}, {"slow_call": 5.0}])
    def test_rejections_keep_no_memory(self, options):
        breaker = CircuitBreaker(open_for=1e9, **options)
        breaker.open()

        @breaker
        async def call() -> None:
            pass

        async def main() -> None:
            for _ in range(100_000):
                with suppress(CircuitOpenError):
                    await call()

        assert growth(lambda: asyncio.run(main())) < 20_000
        assert breaker.statistics().rejected == 200_000

    def test_calls_and_failures_keep_no_memory(self):
        breaker = CircuitBreaker(slow_call=5.0, failure_rate=1.0)

        @breaker
        def call(number: int) -> None:
            if number % 2:
                raise ConnectionError

        def work() -> None:
            for number in range(20_000):
                with suppress(ConnectionError):
                    call(number)

        assert growth(work) < 20_000

    @pytest.mark.parametrize("state", ["closed", "half open", "open"])
    @pytest.mark.parametrize("options", [{}, {"slow_call": 5.0}])
    def test_what_a_failing_frame_held_is_free_at_once(self, state, options):
        class Payload:
            pass

        clock = FakeClock()
        breaker = CircuitBreaker(open_for=1, clock=clock, **options)
        kept: list[weakref.ref[Any]] = []

        @breaker
        async def call(payload: Payload) -> None:
            held = Payload()
            kept.append(weakref.ref(held))
            raise ConnectionError

        async def request() -> None:
            payload = Payload()
            kept.append(weakref.ref(payload))
            await call(payload)

        async def main() -> None:
            if state != "closed":
                breaker.open()
            if state == "half open":
                await asyncio.sleep(1)
            with suppress(ConnectionError, CircuitOpenError):
                await asyncio.create_task(request())
            await asyncio.sleep(0)  # the loop lets go of the task
            assert len(kept) == (1 if state == "open" else 2)
            assert [reference() for reference in kept if reference() is not None] == []

        with no_collector():
            virtual_time.run(main(), clock=clock)
