import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from seawall.core import Events, OptionError
from seawall.resilience import (
    CallRejected,
    CircuitBreaker,
    CircuitChanged,
    CircuitClosed,
    CircuitOpened,
    CircuitOpenError,
    CircuitOverridden,
    CircuitState,
    CircuitWouldHaveOpened,
)
from seawall.testing import EventRecorder

Run = Callable[..., Coroutine[Any, Any, str]]


@pytest.fixture
def events() -> Events:
    return Events()


def caller(breaker: CircuitBreaker) -> Run:
    @breaker
    async def call(error: Exception | None = None, seconds: float = 0.0) -> str:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error
        return "ok"

    return call


async def fails(call: Run, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await call(ConnectionError())


async def refused(call: Run) -> CircuitOpenError:
    with pytest.raises(CircuitOpenError) as caught:
        await call()
    return caught.value


def test_every_transition_is_an_event_in_order_with_its_reason(clock, events, run):
    breaker = CircuitBreaker("api", window=4, minimum_calls=4, open_for=10, trial_lease=3, clock=clock, events=events)
    recorder = EventRecorder(events)

    async def main() -> None:
        call = caller(breaker)
        await call()
        await fails(call, 3)
        await asyncio.sleep(10)
        await fails(call)
        await asyncio.sleep(10)
        hung = asyncio.create_task(call(None, 100))
        await asyncio.sleep(13)
        await call()
        await call()
        breaker.isolate()
        breaker.force_closed()
        breaker.metrics_only()
        breaker.open()
        breaker.close()
        await hung

    run(main())
    assert [(event.old, event.new, event.reason) for event in recorder.of(CircuitChanged)] == [
        ("closed", "open", "3 failed and 0 slow of 4 calls"),
        ("open", "half_open", "open_for is over"),
        ("half_open", "open", "a trial call failed"),
        ("open", "half_open", "open_for is over"),
        ("half_open", "open", "a trial call hung"),
        ("open", "half_open", "open_for is over"),
        ("half_open", "closed", "2 trial calls succeeded"),
        ("closed", "isolated", "by hand"),
        ("isolated", "forced_closed", "by hand"),
        ("forced_closed", "metrics_only", "by hand"),
        ("metrics_only", "open", "by hand"),
        ("open", "closed", "by hand"),
    ]
    assert recorder.names.count("CircuitOpened") == 4
    assert {event.policy for event in recorder.of(CircuitChanged)} == {"api"}


def test_a_refused_call_is_an_event(clock, events, run):
    breaker = CircuitBreaker("api", clock=clock, events=events, open_for=1)
    breaker.open()
    recorder = EventRecorder(events)

    async def main() -> None:
        call = caller(breaker)
        await refused(call)
        await asyncio.sleep(1)
        trial = asyncio.create_task(call(None, 1))
        await asyncio.sleep(0)
        await refused(call)
        await trial
        breaker.isolate()
        await refused(call)

    run(main())
    assert recorder.of(CallRejected) == [CallRejected(policy="api", reason="circuit-open")] * 3


def test_a_state_that_does_not_change_is_no_event(clock, events):
    breaker = CircuitBreaker(clock=clock, events=events)
    recorder = EventRecorder(events)
    breaker.close()
    breaker.open()
    breaker.open()
    assert recorder.names == ["CircuitOpened"]
    assert breaker.statistics().opened == 1


def test_a_listener_may_use_the_breaker(clock, events, run):
    breaker = CircuitBreaker(minimum_calls=1, clock=clock, events=events)
    seen: list[CircuitState] = []
    events.subscribe(lambda event: seen.append(breaker.statistics().state), to=CircuitOpened)
    events.subscribe(lambda event: breaker.close(), to=CircuitOpened)

    async def main() -> None:
        await fails(caller(breaker))

    run(main())
    assert (seen, breaker.state) == ([CircuitState.OPEN], CircuitState.CLOSED)


def test_statistics_are_a_frozen_picture(clock, run):
    breaker = CircuitBreaker("api", slow_call=2.0, slow_call_rate=0.9, minimum_calls=5, open_for=30, clock=clock)

    async def main() -> None:
        call = caller(breaker)
        await call()
        await call(None, 3)
        await fails(call)
        hung = asyncio.create_task(call(None, 7))
        await asyncio.sleep(6)
        before = breaker.statistics()
        assert dataclasses.asdict(before) == {
            "name": "api",
            "state": "closed",
            "calls": 3,
            "failed": 1,
            "slow": 1,
            "hung": 1,
            "trials": 0,
            "rejected": 0,
            "opened": 0,
            "retry_after": None,
        }
        breaker.open()
        await asyncio.sleep(5)
        await refused(call)
        after = breaker.statistics()
        assert (after.calls, after.hung, after.rejected, after.opened, after.retry_after) == (0, 0, 1, 1, 25)
        await asyncio.sleep(100)
        assert breaker.statistics().retry_after == 0
        await hung

    run(main())


class TestConfigure:
    def test_keeps_the_window_and_opens_if_the_new_options_say_so(self, clock, run):
        breaker = CircuitBreaker(window=20, minimum_calls=10, failure_rate=0.9, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            for _ in range(6):
                await call()
                await fails(call)
            breaker.configure(window=10)
            assert breaker.statistics().calls == 10
            breaker.configure(window=50)
            assert (breaker.statistics().calls, breaker.statistics().failed) == (10, 5)
            breaker.configure(failure_rate=0.5)
            assert breaker.state is CircuitState.OPEN

        run(main())

    @pytest.mark.parametrize("make", [CircuitBreaker, CircuitBreaker.over_time])
    def test_a_new_slow_call_duration_holds_for_the_next_call_and_those_under_way(self, clock, run, make):
        breaker = make(slow_call=80.0, minimum_calls=100, window=1000, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            under_way = asyncio.create_task(call(None, 2))
            await asyncio.sleep(0)
            breaker.configure(slow_call=1.0)
            await call(None, 1.5)
            assert breaker.statistics().slow == 1
            assert breaker.statistics().hung == 1
            await under_way
            assert breaker.statistics().slow == 2

        run(main())

    def test_a_shorter_time_window_counts_calls_at_their_time_at_once(self, clock, run):
        breaker = CircuitBreaker.over_time(
            window=1000.0, slow_call=800.0, minimum_calls=2, failure_rate=1.0, clock=clock
        )

        async def main() -> None:
            call = caller(breaker)
            await call()
            breaker.configure(window=10.0)
            await asyncio.sleep(20)
            await call()
            await fails(call)
            assert (breaker.statistics().calls, breaker.statistics().failed) == (2, 1)
            assert breaker.state is CircuitState.CLOSED

        run(main())

    @pytest.mark.parametrize("change", [{"window": 0}, {"permits": 0}, {"failure_rate": 2}, {"slow_call": 1.0}])
    def test_what_cannot_work_is_refused_and_changes_nothing(self, change):
        breaker = CircuitBreaker()
        before = breaker.options
        with pytest.raises(OptionError, match="CircuitBreaker"):
            breaker.configure(**change)
        assert breaker.options == before

    def test_more_permits_admit_more_trials_at_once(self, clock, run):
        breaker = CircuitBreaker(open_for=1, clock=clock)
        breaker.open()

        async def main() -> None:
            call = caller(breaker)
            await asyncio.sleep(1)
            trials = [asyncio.create_task(call(None, 1))]
            await asyncio.sleep(0)
            await refused(call)
            breaker.configure(permits=2)
            trials.append(asyncio.create_task(call(None, 1)))
            assert await asyncio.gather(*trials) == ["ok", "ok"]

        run(main())


class TestByHand:
    def test_isolated_it_refuses_all_until_it_is_closed(self, clock, run):
        breaker = CircuitBreaker("api", open_for=1, clock=clock)

        async def main() -> None:
            call = caller(breaker)
            breaker.isolate()
            for _ in range(3):
                assert (await refused(call)).retry_after is None
                await asyncio.sleep(1e6)
            breaker.reset()
            assert await call() == "ok"

        run(main())

    def test_forced_closed_it_lets_all_through_and_never_opens(self, clock, run):
        breaker = CircuitBreaker(minimum_calls=1, clock=clock)

        async def main() -> None:
            breaker.open()
            breaker.force_closed()
            call = caller(breaker)
            await fails(call, 50)
            assert (breaker.state, breaker.statistics().failed) == (CircuitState.FORCED_CLOSED, 50)
            breaker.close()
            await fails(call)
            assert breaker.state is CircuitState.OPEN

        run(main())

    def test_with_metrics_only_it_says_when_it_would_have_opened(self, clock, events, run):
        breaker = CircuitBreaker(minimum_calls=5, clock=clock, events=events)
        recorder = EventRecorder(events)

        async def main() -> None:
            breaker.metrics_only()
            await fails(caller(breaker), 12)

        run(main())
        assert recorder.names == ["CircuitOverridden", "CircuitWouldHaveOpened", "CircuitWouldHaveOpened"]
        assert recorder.of(CircuitOverridden)[0].new == "metrics_only"
        assert recorder.of(CircuitWouldHaveOpened)[0].reason == "5 failed and 0 slow of 5 calls"
        assert not recorder.of(CircuitClosed)
        assert (breaker.state, breaker.statistics().opened) == (CircuitState.METRICS_ONLY, 0)

    def test_opened_twice_it_refuses_for_no_longer(self, clock, run):
        breaker = CircuitBreaker(open_for=10, open_growth=5, clock=clock)
        breaker.open()
        clock.advance(4)
        breaker.open()
        assert breaker.statistics().retry_after == 10


def test_a_refusal_says_what_happened_to_which_breaker_and_what_comes_next(clock, run):
    breaker = CircuitBreaker("payments", open_for=12, clock=clock)
    breaker.open()

    async def main() -> None:
        call = caller(breaker)
        await asyncio.sleep(2)
        error = await refused(call)
        assert str(error) == "circuit breaker 'payments' is open; next trial call in 10.0 s"
        assert error.attributes == {"name": "payments", "retry_after": 10, "state": "open"}
        await asyncio.sleep(10)
        trial = asyncio.create_task(call(None, 1))
        await asyncio.sleep(0)
        error = await refused(call)
        assert str(error) == "circuit breaker 'payments' is half open and its trial calls are under way"
        await trial
        breaker.isolate()
        error = await refused(call)
        assert (error.state, error.retry_after) == ("isolated", None)
        assert "isolated by hand" in str(error)

    run(main())
