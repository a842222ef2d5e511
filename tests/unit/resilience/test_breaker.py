import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from seawall.core import Events, OptionError
from seawall.resilience import BulkheadFullError, CircuitBreaker, CircuitOpenError, CircuitState
from seawall.testing import EventRecorder

Run = Callable[..., Coroutine[Any, Any, str]]


class BoomError(Exception):
    pass


def caller(breaker: CircuitBreaker) -> Run:
    """A call that takes `seconds` and then fails with `error`, if any."""

    @breaker
    async def call(error: BaseException | None = None, seconds: float = 0.0) -> str:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error
        return "ok"

    return call


async def fails(call: Run, times: int = 1, error: Exception | None = None, seconds: float = 0.0) -> None:
    for _ in range(times):
        with pytest.raises(type(error or BoomError())):
            await call(error or BoomError(), seconds)


async def passes(call: Run, times: int = 1, seconds: float = 0.0) -> None:
    for _ in range(times):
        assert await call(None, seconds) == "ok"


async def refused(call: Run) -> CircuitOpenError:
    with pytest.raises(CircuitOpenError) as caught:
        await call()
    return caught.value


class TestOpening:
    def test_by_failure_rate_of_the_last_calls(self, clock, run):
        breaker = CircuitBreaker("api", window=10, minimum_calls=10, failure_rate=0.5, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            await passes(call, 20)
            await fails(call, 4)
            assert breaker.state is CircuitState.CLOSED
            await fails(call)
            assert breaker.statistics().state is CircuitState.OPEN
            await refused(call)

        run(main())

    def test_not_before_the_minimum_of_calls(self, clock, run):
        breaker = CircuitBreaker(minimum_calls=10, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            await fails(call, 9)
            assert breaker.state is CircuitState.CLOSED
            await fails(call)
            assert breaker.statistics().state is CircuitState.OPEN

        run(main())

    def test_by_failure_rate_of_the_last_seconds(self, clock, run):
        breaker = CircuitBreaker.over_time(window=10.0, minimum_calls=4, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            await fails(call, 3)
            await asyncio.sleep(10)
            await passes(call, 2)
            await fails(call)
            assert breaker.state is CircuitState.CLOSED, "the first failures are out of the window"
            await fails(call)
            assert breaker.statistics().state is CircuitState.OPEN

        run(main())

    def test_by_failures_in_a_row(self, clock, run):
        breaker = CircuitBreaker.consecutive(failures=3, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            for _ in range(5):
                await fails(call, 2)
                await passes(call)
            await fails(call, 2)
            assert breaker.state is CircuitState.CLOSED
            await fails(call)
            assert breaker.statistics().state is CircuitState.OPEN

        run(main())

    @pytest.mark.parametrize("make", [CircuitBreaker, CircuitBreaker.over_time])
    def test_by_slow_calls(self, clock, run, make):
        breaker = make(slow_call=2.0, slow_call_rate=0.5, minimum_calls=4, window=100, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            await passes(call, 4, seconds=0.1)
            await passes(call, 2, seconds=1.9)
            assert breaker.statistics().slow == 0
            await passes(call, 5, seconds=2.0)
            assert (breaker.statistics().slow, breaker.state) == (5, CircuitState.CLOSED)
            await passes(call, seconds=2.0)
            assert breaker.state is CircuitState.OPEN

        run(main())

    @pytest.mark.parametrize("make", [CircuitBreaker, CircuitBreaker.over_time, CircuitBreaker.consecutive])
    def test_by_calls_that_hang(self, clock, run, make):
        breaker = make(slow_call=2.0, minimum_calls=4, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            hung = [asyncio.create_task(call(None, 3600)) for _ in range(5)]
            await asyncio.sleep(1.9)
            assert breaker.statistics().hung == 0
            await asyncio.sleep(0.1 + 2.0 / 8)
            assert breaker.statistics().hung == 5
            await refused(call)
            for task in hung:
                task.cancel()
            await asyncio.wait(hung)

        run(main())

    def test_calls_that_ended_do_not_hang(self, clock, run):
        breaker = CircuitBreaker(slow_call=1.0, minimum_calls=1, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            await passes(call, 3)
            await fails(call, error=BulkheadFullError("b", 1, 0))
            task = asyncio.create_task(call(None, 0.5))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(100)
            assert breaker.statistics().hung == 0
            await passes(call)

        run(main())


class TestTrials:
    @pytest.mark.parametrize("permits", [1, 3, 10])
    def test_of_a_hundred_callers_exactly_as_many_as_permits_get_through(self, clock, run, permits):
        breaker = CircuitBreaker(open_for=1, permits=permits, successes=permits, clock=clock)
        breaker.open()

        async def main() -> None:
            call = caller(breaker)
            await asyncio.sleep(1)
            results = await asyncio.gather(*(call(None, 0.5) for _ in range(100)), return_exceptions=True)
            assert results.count("ok") == permits
            assert all(isinstance(result, CircuitOpenError) for result in results if result != "ok")
            assert breaker.state is CircuitState.CLOSED

        run(main())

    def test_a_thousand_cancelled_trials_never_wedge_it(self, clock, run):
        choose = random.Random(7)
        breaker = CircuitBreaker(
            open_for=1, permits=4, successes=10_000, trial_lease=1e9, slow_call=1e8, minimum_calls=1, clock=clock
        )
        breaker.open()

        @breaker
        async def stream(seconds: float) -> Any:
            await asyncio.sleep(seconds)
            yield 1
            await asyncio.sleep(seconds)

        async def consume(seconds: float) -> None:
            async for _ in stream(seconds):
                await asyncio.sleep(seconds)

        async def guarded(seconds: float) -> None:
            async with breaker.guard():
                await asyncio.sleep(seconds)

        async def main() -> None:
            call = caller(breaker)
            await asyncio.sleep(1)
            for _ in range(250):
                kinds = (lambda s: call(None, s), consume, guarded)
                tasks = [asyncio.ensure_future(choose.choice(kinds)(choose.random())) for _ in range(4)]
                await asyncio.sleep(choose.choice([0, choose.random(), 2]))
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                assert not any(isinstance(task.exception(), CircuitOpenError) for task in tasks if not task.cancelled())
            assert breaker.statistics().trials == 0
            await passes(call)

        run(main())

    def test_a_hung_trial_loses_its_lease(self, clock, run):
        breaker = CircuitBreaker(open_for=10, trial_lease=2, successes=1, clock=clock)
        breaker.open()

        async def main() -> None:
            call = caller(breaker)
            await asyncio.sleep(10)
            hung = asyncio.create_task(call(None, 20))
            await asyncio.sleep(2)
            assert (await refused(call)).state == "open"
            await asyncio.sleep(10)
            await passes(call)
            assert breaker.state is CircuitState.CLOSED
            assert await hung == "ok"

        run(main())

    def test_late_results_from_an_earlier_state_change_nothing(self, clock, run):
        breaker = CircuitBreaker(minimum_calls=1, open_for=1, successes=1, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            late = [asyncio.create_task(call(BoomError() if n % 2 else None, 5)) for n in range(20)]
            await asyncio.sleep(0.5)
            await fails(call)
            await asyncio.sleep(1)
            await passes(call)
            assert breaker.state is CircuitState.CLOSED
            await asyncio.wait(late)
            assert [isinstance(task.exception(), BoomError) for task in late].count(True) == 10
            assert (breaker.state, breaker.statistics().calls) == (CircuitState.CLOSED, 0)

        run(main())

    def test_a_slow_trial_has_failed(self, clock, run):
        breaker = CircuitBreaker(slow_call=1.0, open_for=5, successes=1, clock=clock)
        breaker.open()

        async def main() -> None:
            await asyncio.sleep(5)
            await passes(caller(breaker), seconds=1.0)
            assert breaker.state is CircuitState.OPEN

        run(main())


def test_a_mode_or_an_option_that_cannot_work_is_refused():
    for options in ({"mode": "median"}, {"window": 0}, {"window": 5}, {"permits": 0}, {"failure_rate": 1.5}):
        with pytest.raises(OptionError, match=r"CircuitBreaker: \w+ is .*; allowed: .*"):
            CircuitBreaker(**options)


def test_events_and_name_may_be_left_out():
    breaker = CircuitBreaker()
    recorder = EventRecorder(Events())
    breaker.open()
    assert (breaker.name, recorder.events) == ("unnamed", [])
