"""Pipelines: what they take, hand on, and do as one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.core import Events, OptionError, SeawallError
from seawall.resilience import (
    Bulkhead,
    CallRetried,
    Chaos,
    CircuitBreaker,
    Fallback,
    Hedge,
    Pipeline,
    Reset,
    Retry,
    RetryBudget,
    Timeout,
    deadline,
)
from seawall.testing import EventRecorder, FakeClock, virtual_time


class Flaky:
    """Fails as often as told, then answers."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.calls = 0

    async def answer(self, value: int = 1) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError(self.calls)
        return value

    def blocking(self, value: int = 1) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError(self.calls)
        return value


def test_members_stand_outermost_first() -> None:
    order: list[str] = []

    def noting(name: str) -> Callable[[Callable[[], Awaitable[int]]], Awaitable[int]]:
        async def policy(call: Callable[[], Awaitable[int]]) -> int:
            order.append(f"+{name}")
            try:
                return await call()
            finally:
                order.append(f"-{name}")

        return policy

    flaky = Flaky(failures=1)
    retry = Retry(on=ConnectionError, first_delay=0.0)
    call = Pipeline("p", noting("a"), Bulkhead(1), noting("b"), retry, noting("c"))(flaky.answer)
    assert virtual_time.run(call(5)) == 5
    assert order == ["+a", "+b", "+c", "-c", "+c", "-c", "-b", "-a"]


def test_policy_of_ones_own_around_a_def() -> None:
    def doubled(call: Callable[[], int]) -> int:
        return 2 * call()

    assert Pipeline("p", Bulkhead(1), doubled, Retry(on=OSError))(Flaky().blocking)(4) == 8
    assert Pipeline("p", doubled).call(Flaky().blocking, value=3) == 6


def test_async_policy_around_a_def_or_a_generator_is_refused_when_decorating() -> None:
    async def policy(call: Callable[[], Awaitable[int]]) -> int:
        return await call()

    async def stream() -> Any:
        yield 1

    with pytest.raises(TypeError, match=r"policy.* is `async def` and can't stand around a `def`"):
        Pipeline("p", policy)(Flaky().blocking)
    with pytest.raises(TypeError, match="can't stand around a generator function"):
        Pipeline("p", policy)(stream)


def test_what_is_no_policy_is_refused() -> None:
    policies: Any
    for policies in ((), (5,), (Retry,), ("Retry",)):
        with pytest.raises(OptionError, match="Pipeline 'p': policies"):
            Pipeline("p", *policies)


def test_nested_pipeline_is_its_members() -> None:
    inner = Pipeline("inner", Retry(on=ConnectionError, first_delay=0.0), CircuitBreaker("db"))
    outer = Pipeline("outer", Bulkhead(2), inner)
    assert [type(policy).__name__ for policy in outer.policies] == ["Bulkhead", "Retry", "CircuitBreaker"]
    flaky = Flaky(failures=2)
    assert virtual_time.run(outer(flaky.answer)(3)) == 3
    assert (flaky.calls, inner.statistics().policies[0].retried) == (3, 2)


def test_members_take_name_and_events_unless_they_have_their_own() -> None:
    own, ours = Events(), Events()
    named, plain = Bulkhead(1, name="mine", events=own), Retry(on=OSError)
    pipeline = Pipeline("openai", Pipeline("inner", named), plain, events=ours)
    assert (named.name, named.events) == ("mine", own)
    assert (plain.name, plain.events, pipeline.name) == ("openai", ours, "openai")
    Pipeline("other", plain, events=own)
    assert (plain.name, plain.events) == ("openai", ours)


def test_nested_members_without_events_take_those_of_the_outer_pipeline() -> None:
    events = Events()
    recorder = EventRecorder(events)
    inner = Pipeline("inner", Retry(on=ConnectionError, first_delay=0.0))
    virtual_time.run(Pipeline("outer", Bulkhead(1), inner, events=events)(Flaky(failures=1).answer)())
    assert recorder.of(CallRetried) == [CallRetried(policy="inner", attempt=1, delay=0.0, error="ConnectionError")]


def test_repr_shows_the_order() -> None:
    async def trace(call: Callable[[], Any]) -> Any:
        return await call()

    pipeline = Pipeline("p", Bulkhead(5, max_waiting=2), Timeout(9), trace, Retry(on=(OSError, KeyError)))
    shown = "Bulkhead(5, max_waiting=2) > Timeout(9) > trace > Retry(3 attempts, on=(OSError, KeyError))"
    assert repr(pipeline) == f"Pipeline('p': {shown})"
    assert repr(Pipeline("p", Timeout(9), enabled=False)) == "Pipeline('p' (off): Timeout(9))"


def test_pipeline_that_is_off_leaves_calls_as_they_are_on_every_face() -> None:
    off = Pipeline("off", Chaos(Reset()), enabled=False)
    flaky = Flaky()
    assert off(flaky.blocking) == flaky.blocking
    assert off.call(flaky.blocking, 2) == 2
    assert virtual_time.run(off.call(flaky.answer, 3)) == 3
    with off.guard():
        pass
    assert Pipeline("on", Bulkhead(1), off)(flaky.blocking)(4) == 4
    assert not off.statistics().enabled
    with pytest.raises(AttributeError):
        off.enabled = True  # type: ignore[misc]


def test_statistics_are_those_of_the_members() -> None:
    pipeline = Pipeline("p", Bulkhead(3), Retry(on=OSError))
    assert [type(found).__name__ for found in pipeline.statistics().policies] == [
        "BulkheadStatistics",
        "RetryStatistics",
    ]


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_policies_one_by_one_do_what_the_pipeline_does(failures: int) -> None:
    def policies() -> list[Any]:
        return [
            Fallback.value(7, on=TimeoutError),
            Bulkhead(2),
            Retry(on=ConnectionError, first_delay=0.0),
            CircuitBreaker.consecutive("b", failures=3),
            Timeout(5),
        ]

    def outcome(call: Callable[[], Any], flaky: Flaky) -> tuple[object, int]:
        try:
            return virtual_time.run(call()), flaky.calls
        except ConnectionError as error:
            return repr(error), flaky.calls

    one, flaky = Flaky(failures), Flaky(failures)
    nested: Callable[..., Any] = one.answer
    for policy in reversed(policies()):
        nested = policy(nested)
    assert outcome(nested, one) == outcome(Pipeline("p", *policies())(flaky.answer), flaky)


def test_hedge_stands_between_woven_policies() -> None:
    calls: list[int] = []
    slots = Bulkhead(1)

    async def slow(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(10 if len(calls) == 1 else 1)
        return x

    pipeline = Pipeline("p", slots, Retry(on=OSError), Hedge(delay=2.0), CircuitBreaker("b"), Timeout(20))
    assert virtual_time.run(pipeline(slow)(4)) == 4
    assert virtual_time.run(pipeline.call(slow, x=5)) == 5
    assert (calls, slots.permits.in_use) == ([4, 4, 5], 0)


# One call: when it comes, how its attempts end (seconds, fails?), and when its caller gives up.
ATTEMPT = st.tuples(st.sampled_from([0.0, 0.5, 2.0, 2.999, 3.0, 9.0]), st.booleans())
CALL = st.tuples(
    st.sampled_from([0.0, 0.0, 1.0, 5.0, 30.0]),
    st.lists(ATTEMPT, min_size=3, max_size=3),
    st.one_of(st.none(), st.sampled_from([0.0, 0.5, 3.0, 8.0, 10.0])),
)
TOTAL = 8.0


@settings(max_examples=150, deadline=None)
@given(st.lists(CALL, min_size=1, max_size=25), st.booleans())
def test_flagship_chain_holds_nothing_afterwards(calls: list[Any], trial_hangs: bool) -> None:
    clock = FakeClock()
    slots, total, each = Bulkhead(3, max_waiting=4, clock=clock), Timeout(TOTAL, clock=clock), Timeout(3, clock=clock)
    retry = Retry(on=OSError, first_delay=0.5, budget=RetryBudget(clock=clock), clock=clock)
    breaker = CircuitBreaker.consecutive("b", failures=3, open_for=10, successes=1, clock=clock)
    attempts: dict[int, int] = {}

    async def dependency(number: int, plan: list[tuple[float, bool]]) -> int:
        attempts[number] = attempts.get(number, 0) + 1
        left = deadline.remaining(clock=clock)
        assert left is not None
        assert 0 < left < 3.001
        seconds, fails = plan[attempts[number] - 1]
        await asyncio.sleep(seconds)
        if fails:
            raise ConnectionError
        return number

    call = Pipeline("p", slots, total, retry, breaker, each)(dependency)

    async def caller(number: int, plan: list[tuple[float, bool]], given_up_after: float | None) -> None:
        begun = clock.monotonic()
        try:
            async with asyncio.timeout(given_up_after):
                assert await call(number, plan) == number
        except (OSError, SeawallError):
            pass
        # Up to four wait before it while three run at a time, then its own time.
        assert clock.monotonic() - begun < 3 * TOTAL + 0.001

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number, (pause, plan, given_up_after) in enumerate(calls):
                await asyncio.sleep(pause)
                group.create_task(caller(number, plan, given_up_after))
        assert (slots.permits.in_use, slots.permits.waiting) == (0, 0)
        assert (total.statistics().running, each.statistics().running) == (0, 0)
        assert breaker.statistics().trials == 0
        assert max(attempts.values(), default=0) <= 3
        # Never wedged: once the dependency is well and the breaker's time is over, calls pass.
        await asyncio.sleep(11)
        if trial_hangs and breaker.state != "closed":
            with pytest.raises(SeawallError):
                await call(-1, [(9.0, False)] * 3)
            await asyncio.sleep(11)
        assert await call(-2, [(0.1, False)] * 3) == -2
        assert breaker.state == "closed"

    virtual_time.run(main(), clock=clock)


@settings(max_examples=100, deadline=None)
@given(st.lists(ATTEMPT, min_size=3, max_size=3), st.sampled_from([0.1, 1.0, 4.0]))
def test_total_timeout_bounds_attempts_and_pauses(plan: list[tuple[float, bool]], first_delay: float) -> None:
    clock = FakeClock()
    total, each = Timeout(TOTAL, clock=clock), Timeout(3, clock=clock)
    call = Pipeline("p", total, Retry(on=OSError, first_delay=first_delay, clock=clock), each)

    async def dependency(attempts: Any = iter(plan)) -> None:  # noqa: B008 - one run, one plan
        seconds, fails = next(attempts)
        await asyncio.sleep(seconds)
        if fails:
            raise ConnectionError

    async def main() -> None:
        with contextlib.suppress(OSError):
            await call(dependency)()
        assert clock.monotonic() <= TOTAL

    virtual_time.run(main(), clock=clock)
