"""The adaptive limit: its queue, priorities and what it learns from."""

import asyncio
from typing import Any

import pytest

from seawall.core import Events, OptionError, deadline
from seawall.resilience import (
    AIMD,
    AdaptiveLimit,
    BulkheadFullError,
    CallRejected,
    CallTimeoutError,
    LimitChanged,
    LimitExceededError,
    Pipeline,
    Priority,
    Timeout,
    priority,
)
from seawall.testing import EventRecorder, FakeClock, virtual_time


class Fixed:
    """An algorithm that keeps its limit and notes what it is told."""

    def __init__(self, limit: float = 1.0) -> None:
        self.limit = limit
        self.samples: list[tuple[float, int, bool]] = []

    def sample(self, seconds: float, running: int, *, dropped: bool) -> float:
        self.samples.append((seconds, running, dropped))
        return self.limit


def adaptive(clock: FakeClock, limit: float = 1.0, **options: Any) -> tuple[AdaptiveLimit, Fixed]:
    fixed = Fixed(limit)
    return AdaptiveLimit(fixed, clock=clock, name="db", **options), fixed


async def second() -> str:
    await asyncio.sleep(1.0)
    return "done"


def run(main: Any, clock: FakeClock, policy: AdaptiveLimit) -> Any:
    result = virtual_time.run(main, clock=clock)
    assert (policy.permits.in_use, policy.permits.waiting) == (0, 0)
    return result


def test_calls_beyond_limit_and_queue_are_refused() -> None:
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    policy, _ = adaptive(clock, 2, max_waiting=1, events=events)

    async def main() -> list[Any]:
        return await asyncio.gather(*(policy.call(second) for _ in range(4)), return_exceptions=True)

    outcomes = run(main(), clock, policy)
    assert outcomes[:3] == ["done"] * 3
    assert str(outcomes[3]) == "adaptive limit 'db' is full: 2 run and 1 wait"
    assert isinstance(outcomes[3], LimitExceededError)
    assert policy.statistics().rejected == 1
    assert recorder.of(CallRejected) == [CallRejected(policy="db", reason="limit-exceeded")]


def test_higher_priority_goes_first_and_equal_ones_in_order() -> None:
    clock = FakeClock()
    policy, _ = adaptive(clock, max_waiting=9)
    served: list[str] = []

    @policy
    async def call(name: str) -> None:
        served.append(name)
        await asyncio.sleep(1)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(call("first"))
            await asyncio.sleep(0)
            for level in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
                with priority(level):
                    for number in (1, 2):
                        group.create_task(call(f"{level.name.lower()} {number}"))

    run(main(), clock, policy)
    assert served == ["first", "high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]


def test_full_queue_turns_out_the_last_of_the_lowest_priority() -> None:
    clock = FakeClock()
    policy, _ = adaptive(clock, max_waiting=2)

    async def main() -> list[Any]:
        tasks = []
        for level in (0, Priority.LOW, Priority.LOW, Priority.HIGH, Priority.HIGH, Priority.HIGH):
            with priority(level):
                tasks.append(asyncio.create_task(policy.call(second)))
                await asyncio.sleep(0)
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = run(main(), clock, policy)
    assert [getattr(outcome, "reason", outcome) for outcome in outcomes] == [
        "done",
        "evicted",
        "evicted",
        "done",
        "done",
        "full",
    ]
    assert str(outcomes[1]) == "adaptive limit 'db' gave this call's place in the queue to one of higher priority"


@pytest.mark.parametrize(("max_wait", "left", "waited"), [(0.5, None, 0.5), (5.0, 0.25, 0.25), (None, 0.75, 0.75)])
def test_wait_ends_at_max_wait_or_at_the_deadline(max_wait: float | None, left: float | None, waited: float) -> None:
    clock = FakeClock()
    policy, _ = adaptive(clock, max_waiting=1, max_wait=max_wait)

    async def main() -> None:
        first = asyncio.create_task(policy.call(second))
        await asyncio.sleep(0)
        with deadline.within(left or 100.0, clock=clock), pytest.raises(LimitExceededError, match="no place in time"):
            await policy.call(second)
        assert clock.monotonic() == pytest.approx(waited)
        await first

    run(main(), clock, policy)


@pytest.mark.parametrize("at", [0.5, 1.5])
def test_cancelled_call_gives_its_permit_or_its_place_back_and_says_nothing(at: float) -> None:
    clock = FakeClock()
    policy, fixed = adaptive(clock, max_waiting=5)

    async def main() -> None:
        tasks = [asyncio.create_task(policy.call(second)) for _ in range(3)]
        await asyncio.sleep(at)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert clock.monotonic() == (2.0 if at < 1 else 2.5)

    run(main(), clock, policy)
    assert fixed.samples == [(1.0, 1, False)] * 2


def test_what_was_cut_counts_as_dropped_and_other_errors_not_at_all() -> None:
    clock = FakeClock()
    policy, fixed = adaptive(clock, 5)
    cut = Pipeline("p", policy, Timeout(0.5, clock=clock))

    async def fails(error: Exception) -> None:
        await asyncio.sleep(0.1)
        raise error

    async def main() -> None:
        with pytest.raises(CallTimeoutError):
            await cut.call(second)
        with pytest.raises(TimeoutError):
            await policy.call(fails, TimeoutError())
        for error in (OSError("broken"), ValueError(), BulkheadFullError("inner", 1, 0)):
            with pytest.raises(type(error)):
                await policy.call(fails, error)
        with deadline.within(0.0, clock=clock), pytest.raises(TimeoutError):  # never began
            await cut.call(second)

    run(main(), clock, policy)
    assert [(round(seconds, 2), running, dropped) for seconds, running, dropped in fixed.samples] == [
        (0.5, 1, True),
        (0.1, 1, True),
    ]


def test_time_in_the_queue_is_not_the_calls_time() -> None:
    clock = FakeClock()
    policy, fixed = adaptive(clock, max_waiting=5)

    async def main() -> None:
        await asyncio.gather(*(policy.call(second) for _ in range(3)))

    run(main(), clock, policy)
    assert fixed.samples == [(1.0, 1, False)] * 3


def test_permits_follow_the_limit_and_those_who_wait_come_in() -> None:
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    policy, fixed = adaptive(clock, 1, max_waiting=9, events=events)

    async def main() -> None:
        tasks = [asyncio.create_task(policy.call(second)) for _ in range(4)]
        await asyncio.sleep(0.5)
        fixed.limit = 3.9
        await asyncio.sleep(1.0)
        assert (policy.statistics().running, policy.statistics().limit) == (3, 3)
        await asyncio.gather(*tasks)
        assert clock.monotonic() == 2.0

    run(main(), clock, policy)
    assert recorder.of(LimitChanged) == [LimitChanged(policy="db", old=1, new=3)]


@pytest.mark.parametrize("found", [float("nan"), ZeroDivisionError()])
def test_algorithm_that_fails_keeps_no_permit(found: Any) -> None:
    clock = FakeClock()
    policy, fixed = adaptive(clock, 1)

    class Broken(Fixed):
        def sample(self, seconds: float, running: int, *, dropped: bool) -> float:
            if isinstance(found, Exception):
                raise found
            return float(found)

    policy.algorithm = Broken()

    async def main() -> None:
        with pytest.raises((ValueError, ZeroDivisionError)):
            await policy.call(second)
        policy.algorithm = fixed
        assert await policy.call(second) == "done"

    run(main(), clock, policy)


def test_limit_of_nothing_still_lets_one_call_through() -> None:
    clock = FakeClock()
    policy, _ = adaptive(clock, 0.2)

    async def main() -> None:
        for _ in range(3):
            assert await policy.call(second) == "done"

    run(main(), clock, policy)


def test_def_waits_and_is_refused_like_a_coroutine() -> None:
    clock = FakeClock()
    policy, fixed = adaptive(clock, 1, max_waiting=1, max_wait=0.0)

    @policy
    def outer() -> None:
        with pytest.raises(LimitExceededError, match="had no place in time"):
            policy.call(clock.sleep, 1.0)
        clock.sleep(2.0)

    outer()
    assert (fixed.samples, policy.permits.in_use, policy.permits.waiting) == ([(2.0, 1, False)], 0, 0)


def test_timeouts_shrink_an_aimd_limit() -> None:
    clock = FakeClock()
    policy = AdaptiveLimit(AIMD(initial=10), clock=clock)
    call = Pipeline("p", policy, Timeout(0.5, clock=clock))(second)

    async def main() -> None:
        for _ in range(300):
            await asyncio.gather(*(call() for _ in range(10)), return_exceptions=True)

    run(main(), clock, policy)
    assert policy.statistics().limit == 1


@pytest.mark.parametrize("options", [{"algorithm": 5}, {"max_waiting": -1}, {"max_wait": -1.0}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"AdaptiveLimit: {next(iter(options))} is"):
        AdaptiveLimit(**options)
