"""Rate limit: never more than burst and rate admit in any stretch of time, and never less than it promises."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.core import Events, OptionError, deadline
from seawall.resilience import CallRejected, RateLimit, RateLimitedError
from seawall.testing import EventRecorder, FakeClock, virtual_time


def at(seconds: float) -> FakeClock:
    clock = FakeClock()
    clock.advance(seconds)
    return clock


class Begun:
    """Notes when calls begin."""

    def __init__(self, limit: RateLimit, clock: FakeClock) -> None:
        self.times: list[float] = []
        self.clock = clock
        self.call = limit(self._call)
        self.blocking = limit(self._blocking)

    async def _call(self) -> None:
        self.times.append(self.clock.monotonic())

    def _blocking(self) -> None:
        self.times.append(self.clock.monotonic())


def assert_within(times: list[float], calls: int, per: float, burst: int) -> None:
    """Brute force: in any stretch of time no more than the burst, and the rate times its length."""
    times = sorted(times)
    for first, last in combinations_with_replacement(range(len(times)), 2):
        admitted = burst + (times[last] - times[first]) * calls / per
        assert last - first + 1 <= admitted + 1e-3


LIMITS = st.tuples(st.integers(1, 20), st.sampled_from([0.1, 1.0, 60.0]), st.one_of(st.none(), st.integers(1, 10)))
STARTS = st.sampled_from([0.0, 1e7, 123_456_789.123])


@given(LIMITS, STARTS, st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60))
def test_never_more_than_burst_and_rate_in_any_stretch(limits: Any, start: float, pauses: list[float]) -> None:
    calls, per, burst = limits
    clock = at(start)
    limit = RateLimit(calls, per=per, burst=burst, clock=clock)
    begun = Begun(limit, clock)
    for pause in pauses:
        clock.advance(pause * per / calls)
        if limit.statistics().available:
            begun.blocking()
        else:
            with pytest.raises(RateLimitedError) as raised:
                begun.blocking()
            assert 0 < (raised.value.retry_after or 0.0) <= per / calls * 1.001
    assert_within(begun.times, calls, per, burst or calls)


@given(LIMITS, STARTS)
def test_all_that_is_promised_is_admitted(limits: Any, start: float) -> None:
    calls, per, burst = limits
    clock = at(start)
    begun = Begun(RateLimit(calls, per=per, burst=burst, clock=clock), clock)
    for _ in range(burst or calls):
        begun.blocking()
    for _ in range(50):
        with pytest.raises(RateLimitedError) as raised:
            begun.blocking()
        clock.advance(raised.value.retry_after or 0.0)
        begun.blocking()


CALLERS = st.lists(st.tuples(st.floats(0.0, 1.0), st.one_of(st.none(), st.floats(0.0, 5.0))), max_size=25)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), CALLERS)
def test_waiting_and_cancelled_callers_keep_to_the_rate(calls: int, burst: int, callers: list[Any]) -> None:
    clock = FakeClock()
    begun = Begun(RateLimit(calls, burst=burst, max_wait=4.0, clock=clock), clock)

    async def caller(patience: float | None) -> None:
        try:
            async with asyncio.timeout(patience):
                await begun.call()
        except (TimeoutError, RateLimitedError):
            pass

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for pause, patience in callers:
                await asyncio.sleep(pause)
                group.create_task(caller(patience))

    virtual_time.run(main(), clock=clock)
    assert_within(begun.times, calls, 1.0, burst)


def test_waiting_callers_begin_at_even_distances() -> None:
    clock = FakeClock()
    limit = RateLimit(2, per=1.0, burst=1, max_wait=10.0, clock=clock)
    begun = Begun(limit, clock)

    async def main() -> None:
        await asyncio.gather(*(begun.call() for _ in range(4)))

    virtual_time.run(main(), clock=clock)
    assert begun.times == [0.0, 0.5, 1.0, 1.5]
    assert limit.statistics().delayed == 3


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3)])
def test_cancelled_wait_gives_its_turn_back(order: tuple[int, ...]) -> None:
    clock = FakeClock()
    limit = RateLimit(1, max_wait=3.0, clock=clock)
    begun = Begun(limit, clock)

    async def main() -> None:
        tasks = [asyncio.create_task(begun.call()) for _ in range(4)]
        await asyncio.sleep(0.5)
        with pytest.raises(RateLimitedError):
            await begun.call()  # in 3.5 s
        for number in order:
            tasks[number].cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        await begun.call()

    virtual_time.run(main(), clock=clock)
    assert begun.times == [0.0, 1.0]


def test_turn_given_back_goes_to_the_next_newcomer_not_to_two() -> None:
    clock = FakeClock()
    begun = Begun(RateLimit(1, max_wait=5.0, clock=clock), clock)

    async def main() -> None:
        tasks = [asyncio.create_task(begun.call()) for _ in range(3)]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.sleep(0)
        await asyncio.gather(*tasks, begun.call(), begun.call(), return_exceptions=True)

    virtual_time.run(main(), clock=clock)
    assert begun.times == [0.0, 1.0, 2.0, 3.0]


def test_wait_never_outlasts_the_deadline() -> None:
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    begun = Begun(RateLimit(1, max_wait=60.0, clock=clock, name="mail", events=events), clock)

    async def main() -> None:
        await begun.call()
        with deadline.within(0.5, clock=clock), pytest.raises(RateLimitedError) as raised:
            await begun.call()
        assert (raised.value.retry_after, clock.monotonic()) == (1.0, 0.0)
        with deadline.within(2.0, clock=clock):
            await begun.call()  # the refused one took no turn

    virtual_time.run(main(), clock=clock)
    assert begun.times == [0.0, 1.0]
    assert recorder.events == [CallRejected(policy="mail", reason="rate-limited")]


def test_interrupted_thread_gives_its_turn_back() -> None:
    class Interrupting(FakeClock):
        def sleep(self, seconds: float, /) -> None:
            raise KeyboardInterrupt

    clock = Interrupting()
    limit = RateLimit(1, max_wait=1.0, clock=clock)
    begun = Begun(limit, clock)
    begun.blocking()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            begun.blocking()
    clock.advance(1.0)
    assert limit.statistics().available == 1


def test_burst_may_be_smaller_or_larger_than_the_rate() -> None:
    for burst, at_once in ((None, 4), (1, 1), (9, 9)):
        limit = RateLimit(4, per=2.0, burst=burst, clock=FakeClock())
        assert limit.statistics().available == at_once
        begun = Begun(limit, FakeClock())
        for _ in range(at_once):
            begun.blocking()
        with pytest.raises(RateLimitedError, match=r"rate limit 'unnamed' is used up; next call in 0.50 s"):
            begun.blocking()
        assert (limit.statistics().available, limit.statistics().rejected) == (0, 1)


@pytest.mark.usefixtures("eager_threads")
def test_threads_never_begin_more_than_there_are_tokens() -> None:
    clock = FakeClock()
    limit = RateLimit(100, per=1.0, burst=500, clock=clock)
    begun = Begun(limit, clock)
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for _ in range(1000):
            try:
                begun.blocking()
            except RateLimitedError:
                clock.advance(0.0001)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result()
    assert 500 <= len(begun.times) <= 500 + 100 * clock.monotonic() + 1


@pytest.mark.parametrize("options", [{"calls": 0}, {"per": 0}, {"burst": 0}, {"max_wait": -1}, {"calls": 1.5}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"RateLimit: {next(iter(options))} is"):
        RateLimit(**{"calls": 1} | options)
