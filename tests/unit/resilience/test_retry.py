"""Retry: when a call is repeated, after how long, and when not."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import Events, OptionError, deadline
from seawall.resilience import (
    Bulkhead,
    BulkheadFullError,
    CallRetried,
    CircuitBreaker,
    CircuitOpenError,
    Retry,
    RetryBudget,
    RetryGivenUp,
)
from seawall.testing import EventRecorder, FakeClock, virtual_time


class Flaky:
    """Raises the given errors, or returns the given results, one a call, at times on its clock."""

    def __init__(self, clock: FakeClock, *outcomes: Any) -> None:
        self.clock = clock
        self.outcomes = list(outcomes)
        self.begun: list[float] = []

    def blocking(self) -> Any:
        self.begun.append(self.clock.monotonic())
        outcome = self.outcomes.pop(0) if self.outcomes else "well"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def call(self) -> Any:
        await asyncio.sleep(0)
        return self.blocking()


def retry(clock: FakeClock, **options: Any) -> Retry:
    given: dict[str, Any] = {"on": OSError, "jitter": "none", "clock": clock} | options
    return Retry(**given)


def run(policy: Retry, flaky: Flaky) -> Any:
    return virtual_time.run(policy(flaky.call)(), clock=flaky.clock)


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_attempts_count_from_the_first_one(attempts: int) -> None:
    clock = FakeClock()
    flaky = Flaky(clock, *(OSError(number) for number in range(1, 9)))
    with pytest.raises(OSError, match=str(attempts)):
        run(retry(clock, attempts=attempts), flaky)
    assert len(flaky.begun) == attempts


def test_delays_grow_between_attempts_and_a_def_sleeps_on_the_clock() -> None:
    for face in ("call", "blocking"):
        clock = FakeClock()
        flaky = Flaky(clock, OSError(), OSError(), OSError())
        call = retry(clock, attempts=4, first_delay=1.0, factor=3.0)(getattr(flaky, face))
        assert (virtual_time.run(call(), clock=clock) if face == "call" else call()) == "well"
        assert flaky.begun == [0.0, 1.0, 4.0, 13.0]


def test_only_errors_in_on_are_repeated() -> None:
    clock = FakeClock()
    flaky = Flaky(clock, LookupError())
    with pytest.raises(LookupError):
        run(retry(clock), flaky)
    assert len(flaky.begun) == 1
    flaky = Flaky(clock, LookupError("again"), LookupError("never"))
    with pytest.raises(LookupError, match="never"):
        run(retry(clock, on=lambda error: "again" in str(error)), flaky)
    assert len(flaky.begun) == 2


def asks(**attributes: Any) -> ConnectionError:
    error = ConnectionError()
    vars(error).update(attributes)
    return error


@pytest.mark.parametrize("carrier", [{"retry_after": 5}, {"response": SimpleNamespace(headers={"retry-after": "5"})}])
def test_retry_after_is_honoured_on_errors_and_results(carrier: dict[str, Any]) -> None:
    clock = FakeClock()
    busy = SimpleNamespace(status=429, **carrier)
    flaky = Flaky(clock, asks(**carrier), busy, "well")
    policy = retry(clock, first_delay=1.0, on_result=lambda result: result is busy)
    assert run(policy, flaky) == "well"
    assert flaky.begun == [0.0, 5.0, 10.0]


def test_retry_after_beyond_the_longest_delay_ends_the_attempts() -> None:
    clock, events = FakeClock(), Events()
    recorder, flaky = EventRecorder(events), Flaky(clock, asks(retry_after=31))
    with pytest.raises(ConnectionError):
        run(retry(clock, max_delay=30.0, events=events, name="mail"), flaky)
    assert recorder.events == [RetryGivenUp(policy="mail", attempts=1, reason="retry-after", error="ConnectionError")]
    assert clock.monotonic() == 0.0


@given(
    left=st.floats(0.01, 60.0),
    first_delay=st.floats(0.0, 20.0),
    jitter=st.sampled_from(["full", "decorrelated", "none"]),
    asked=st.one_of(st.none(), st.floats(0.0, 40.0)),
    give_up_after=st.one_of(st.none(), st.floats(0.01, 60.0)),
)
def test_retry_never_sleeps_past_the_deadline_nor_give_up_after(
    left: float, first_delay: float, jitter: str, asked: float | None, give_up_after: float | None
) -> None:
    clock = FakeClock()
    flaky = Flaky(clock, *(asks(retry_after=asked) for _ in range(20)))
    options = {"first_delay": first_delay, "max_delay": 40.0, "jitter": jitter, "give_up_after": give_up_after}

    async def main() -> None:
        with deadline.within(left, clock=clock), pytest.raises(ConnectionError):
            await retry(clock, attempts=20, **options)(flaky.call)()

    virtual_time.run(main(), clock=clock)
    assert clock.monotonic() == flaky.begun[-1]  # it didn't sleep only to give up
    assert clock.monotonic() < min(left, give_up_after or left) or len(flaky.begun) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"attempts": 1}, "attempts"),
        ({"give_up_after": 0.5}, "give-up-after"),
        ({"budget": RetryBudget(floor=0.0)}, "budget"),
        ({"idempotent": False}, "not idempotent"),
    ],
)
def test_giving_up_says_why(options: dict[str, Any], reason: str) -> None:
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    policy = retry(clock, events=events, **options)
    with pytest.raises(ConnectionError):
        run(policy, Flaky(clock, ConnectionError()))
    assert [event.reason for event in recorder.of(RetryGivenUp)] == [reason]
    assert (policy.statistics().given_up, policy.statistics().retried) == (1, 0)


def test_own_rejections_are_repeated_only_by_name() -> None:
    clock = FakeClock()
    for error in (CircuitOpenError("b", 1.0, "open"), BulkheadFullError("b", 1, 0)):
        for on in (Exception, (Exception, OSError), lambda _: True):
            flaky = Flaky(clock, error)
            with pytest.raises(type(error)):
                run(retry(clock, on=on), flaky)
            assert len(flaky.begun) == 1
        assert run(retry(clock, on=(OSError, type(error))), Flaky(clock, error)) == "well"


def test_breaker_inside_that_opens_ends_the_attempts() -> None:
    clock = FakeClock()
    flaky = Flaky(clock, *(OSError() for _ in range(9)))
    breaker = CircuitBreaker.consecutive("b", failures=2, clock=clock)
    with pytest.raises(CircuitOpenError):
        virtual_time.run(retry(clock, on=Exception, attempts=5)(breaker(flaky.call))(), clock=clock)
    assert len(flaky.begun) == 2


@pytest.mark.parametrize("at", [0.5, 1.5])
def test_cancellation_goes_through_at_once_from_call_and_from_pause(at: float) -> None:
    clock, begun = FakeClock(), []

    async def call() -> None:
        begun.append(clock.monotonic())
        await asyncio.sleep(1.0)
        raise OSError

    async def main() -> None:
        task = asyncio.create_task(retry(clock, on=BaseException, first_delay=1.0)(call)())
        await asyncio.sleep(at)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (clock.monotonic(), begun) == (at, [0.0])

    virtual_time.run(main(), clock=clock)


def test_last_result_is_returned_although_it_is_worth_another_attempt() -> None:
    clock = FakeClock()
    policy = retry(clock, attempts=2, on_result=lambda result: result != "well")
    assert run(policy, Flaky(clock, "a", "b", "c")) == "b"
    assert (policy.statistics().given_up, policy.statistics().recovered) == (1, 0)
    assert run(policy, Flaky(clock, "a")) == "well"
    assert (policy.statistics().given_up, policy.statistics().recovered) == (1, 1)


def test_call_that_must_not_happen_twice_is_repeated_only_if_nothing_was_sent() -> None:
    clock = FakeClock()
    once = retry(clock, idempotent=False)
    assert run(once, Flaky(clock, ConnectionRefusedError())) == "well"
    for outcome in (ConnectionResetError(), TimeoutError()):
        with pytest.raises(type(outcome)):
            run(once, Flaky(clock, outcome))
    assert run(retry(clock, idempotent=False, unsent=TimeoutError), Flaky(clock, TimeoutError())) == "well"
    unknown = retry(clock, idempotent=False, on_result=lambda result: result == "busy")
    assert run(unknown, Flaky(clock, "busy")) == "busy"


def test_arguments_tell_whether_a_call_may_be_repeated() -> None:
    clock, sent = FakeClock(), []

    @retry(clock, idempotent=lambda _path, *, method="GET": method == "GET")
    async def request(path: str, *, method: str = "GET") -> str:
        sent.append((path, method))
        if len(sent) % 2:
            raise ConnectionResetError
        return "well"

    assert virtual_time.run(request("/a"), clock=clock) == "well"
    with pytest.raises(ConnectionResetError):
        virtual_time.run(request("/b", method="POST"), clock=clock)
    assert sent == [("/a", "GET"), ("/a", "GET"), ("/b", "POST")]


def test_twenty_tasks_share_a_retry_and_each_has_its_attempts() -> None:
    clock = FakeClock()
    policy = retry(clock, attempts=3)
    flaky = [Flaky(clock, OSError(), OSError()) for _ in range(20)]

    @policy
    async def call(own: Flaky) -> Any:
        return await own.call()

    async def main() -> list[Any]:
        return await asyncio.gather(*map(call, flaky))

    assert virtual_time.run(main(), clock=clock) == ["well"] * 20
    assert all(own.begun == [0.0, 1.0, 3.0] for own in flaky)
    assert (policy.statistics().retried, policy.statistics().recovered) == (40, 20)


def test_every_repetition_is_reported() -> None:
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    policy = retry(clock, name="mail", events=events, on_result=lambda result: result == "busy")
    run(policy, Flaky(clock, OSError(), "busy"))
    assert recorder.events == [
        CallRetried(policy="mail", attempt=1, delay=1.0, error="OSError"),
        CallRetried(policy="mail", attempt=2, delay=2.0, error=""),
    ]


def test_bulkhead_inside_is_free_during_the_pause() -> None:
    clock, slots = FakeClock(), Bulkhead(1)
    flaky = Flaky(clock, OSError())

    async def main() -> None:
        task = asyncio.create_task(retry(clock)(slots(flaky.call))())
        await asyncio.sleep(0.5)
        assert slots.permits.in_use == 0
        assert await task == "well"

    virtual_time.run(main(), clock=clock)


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": 1.5},
        {"on": []},
        {"on": int},
        {"on_result": 5},
        {"give_up_after": 0},
        {"budget": 0.1},
        {"idempotent": None},
        {"unsent": ()},
        {"max_delay": 0.5},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"Retry: {next(iter(options))} is"):
        retry(FakeClock(), **options)
