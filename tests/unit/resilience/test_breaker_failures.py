import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from seawall.resilience import CircuitBreaker, CircuitOpenError, CircuitState, RejectedError

Run = Callable[..., Coroutine[Any, Any, str]]


class BoomError(Exception):
    pass


class OtherError(Exception):
    pass


def caller(breaker: CircuitBreaker) -> Run:
    @breaker
    async def call(error: BaseException | None = None) -> str:
        if error is not None:
            raise error
        return "ok"

    return call


async def fails(call: Run, times: int = 1, error: Exception | None = None) -> None:
    for _ in range(times):
        with pytest.raises(type(error or BoomError())):
            await call(error or BoomError())


@pytest.mark.parametrize("on", [BoomError, (BoomError, KeyError), lambda error: isinstance(error, BoomError)])
def test_only_errors_meant_by_on_are_failures(clock, run, on):
    breaker = CircuitBreaker(on=on, minimum_calls=2, clock=clock)

    async def main() -> None:
        call = caller(breaker)
        await fails(call, 9, OtherError())
        assert breaker.statistics().calls == 9
        assert breaker.statistics().failed == 0
        await fails(call, 9)
        assert breaker.state is CircuitState.OPEN

    run(main())


def test_any_other_error_is_an_answer_for_a_trial(clock, run):
    breaker = CircuitBreaker(on=BoomError, open_for=1, successes=1, clock=clock)
    breaker.open()

    async def main() -> None:
        await asyncio.sleep(1)
        await fails(caller(breaker), error=OtherError())
        assert breaker.state is CircuitState.CLOSED

    run(main())


def test_failed_result_is_asked_once_for_each_result(clock, run):
    asked: list[str] = []

    def failed(result: str) -> bool:
        asked.append(result)
        return result == "500"

    breaker = CircuitBreaker(failed_result=failed, minimum_calls=2, open_for=1, successes=1, clock=clock)

    @breaker
    async def fetch(status: str) -> str:
        return status

    async def main() -> None:
        assert [await fetch(status) for status in ("200", "500")] == ["200", "500"]
        assert breaker.state is CircuitState.OPEN
        await asyncio.sleep(1)
        assert await fetch("500") == "500"
        assert breaker.state is CircuitState.OPEN
        await asyncio.sleep(1)
        assert await fetch("201") == "201"
        assert breaker.statistics().state is CircuitState.CLOSED
        assert asked == ["200", "500", "500", "201"]

    run(main())


@pytest.mark.parametrize("slow_call", [None, 5.0])
def test_a_failed_result_that_cannot_be_judged_gives_the_permit_back(clock, run, slow_call):
    breaker = CircuitBreaker(
        failed_result=lambda result: result.status >= 500,
        slow_call=slow_call,
        open_for=1,
        trial_lease=1e6,
        clock=clock,
    )
    breaker.open()

    async def main() -> None:
        await asyncio.sleep(1)
        with pytest.raises(AttributeError):
            await caller(breaker)()
        assert breaker.statistics().trials == 0

    run(main())


def test_an_error_that_cannot_be_judged_gives_the_permit_back(clock, run):
    def unjudged(error: Any) -> bool:
        return bool(error.status >= 500)

    breaker = CircuitBreaker(on=unjudged, open_for=1, trial_lease=1e6, clock=clock)
    breaker.open()

    async def main() -> None:
        await asyncio.sleep(1)
        with pytest.raises(AttributeError):
            await caller(breaker)(BoomError())
        assert breaker.statistics().trials == 0

    run(main())


@pytest.mark.parametrize("error", [RejectedError("x"), CircuitOpenError("x", 1.0, "open")])
def test_own_rejections_are_neutral_and_give_the_permit_back(clock, run, error):
    breaker = CircuitBreaker(minimum_calls=1, open_for=1, trial_lease=1e6, clock=clock)

    async def main() -> None:
        call = caller(breaker)
        await fails(call, 3, error)
        assert breaker.statistics().calls == 0
        breaker.open()
        await asyncio.sleep(1)
        await fails(call, 3, error)
        assert (breaker.state, breaker.statistics().trials) == (CircuitState.HALF_OPEN, 0)

    run(main())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_what_stops_the_process_is_neutral(clock, error):
    breaker = CircuitBreaker(minimum_calls=1, on=BaseException, clock=clock)

    @breaker
    def stop() -> None:
        raise error

    with pytest.raises(type(error)):
        stop()
    assert (breaker.state, breaker.statistics().calls) == (CircuitState.CLOSED, 0)


def test_cancellation_is_neutral(clock, run):
    breaker = CircuitBreaker(minimum_calls=1, on=BaseException, clock=clock)

    @breaker
    async def call() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(call())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert breaker.statistics().calls == 0

    run(main())


@pytest.mark.parametrize("make", [CircuitBreaker, CircuitBreaker.over_time, CircuitBreaker.consecutive])
def test_a_verdict_need_not_be_a_bool(clock, run, make):
    breaker = make(on=lambda error: error.args, failed_result=lambda result: len(result), clock=clock)

    async def main() -> None:
        call = caller(breaker)
        await fails(call, 2, BoomError("a", "b", "c"))
        assert await call() == "ok"
        assert breaker.statistics().failed == 3

    run(main())


def test_a_block_and_a_stream_have_no_result_to_judge(clock, run):
    breaker = CircuitBreaker(failed_result=lambda result: pytest.fail(f"asked about {result}"), clock=clock)

    @breaker
    async def stream() -> AsyncIterator[int]:
        yield 1

    @breaker
    def numbers() -> Iterator[int]:
        yield 1

    async def main() -> None:
        with breaker.guard():
            pass
        async with breaker.guard():
            pass
        assert [item async for item in stream()] == list(numbers()) == [1]
        assert breaker.statistics().calls == 4

    run(main())
