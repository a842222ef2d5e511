"""Hedge: when a second attempt begins, who wins, and what becomes of the losers."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from seawall.core import Events, OptionError, deadline
from seawall.resilience import CallHedged, Hedge, HedgeWon, RetryBudget, Timeout
from seawall.resilience.hedge import Durations
from seawall.testing import EventRecorder, FakeClock, virtual_time


class Attempts:
    """Takes the given times, one an attempt; an error instead of a result where one is given."""

    def __init__(self, clock: FakeClock, *plan: float | tuple[float, BaseException]) -> None:
        self.clock = clock
        self.plan = list(plan)
        self.begun: list[float] = []
        self.ended: list[tuple[int, str]] = []

    async def call(self) -> int:
        self.begun.append(self.clock.monotonic())
        number = len(self.begun)
        planned = self.plan[number - 1]
        seconds, error = planned if isinstance(planned, tuple) else (planned, None)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.ended.append((number, "cancelled"))
            raise
        self.ended.append((number, "answered" if error is None else "failed"))
        if error is not None:
            raise error
        return number


def run(clock: FakeClock, call: Callable[[], Any], *, within: float | None = None) -> Any:
    async def main() -> Any:
        result = await call()
        if within is not None:
            assert clock.monotonic() == pytest.approx(within)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        return result

    return virtual_time.run(main(), clock=clock)


def test_fast_call_is_not_hedged(clock: FakeClock) -> None:
    attempts, policy = Attempts(clock, 0.5), Hedge(delay=1.0, clock=clock)
    assert run(clock, policy(attempts.call), within=0.5) == 1
    assert attempts.begun == [0.0]
    assert policy.statistics().hedged == 0


def test_slow_call_is_hedged_and_the_first_answer_wins(clock: FakeClock) -> None:
    events = Events()
    recorder = EventRecorder(events)
    policy = Hedge(delay=1.0, attempts=3, clock=clock, name="read", events=events)
    attempts = Attempts(clock, 10.0, 10.0, 0.5)
    assert run(clock, policy(attempts.call), within=2.5) == 3
    assert attempts.begun == [0.0, 1.0, 2.0]
    assert sorted(attempts.ended) == [(1, "cancelled"), (2, "cancelled"), (3, "answered")]
    assert recorder.events == [
        CallHedged(policy="read", attempt=2, delay=1.0),
        CallHedged(policy="read", attempt=3, delay=1.0),
        HedgeWon(policy="read", attempt=3),
    ]
    assert (policy.statistics().hedged, policy.statistics().won) == (2, 1)


def test_first_attempt_may_still_win(clock: FakeClock) -> None:
    attempts, policy = Attempts(clock, 1.5, 10.0), Hedge(delay=1.0, clock=clock)
    assert run(clock, policy(attempts.call), within=1.5) == 1
    assert (attempts.ended, policy.statistics().won) == ([(1, "answered"), (2, "cancelled")], 0)


def test_of_answers_at_the_same_moment_the_earliest_attempt_wins(clock: FakeClock) -> None:
    for _ in range(5):
        attempts = Attempts(FakeClock(), 3.0, 2.0, 1.0)
        assert run(attempts.clock, Hedge(delay=1.0, attempts=3, clock=attempts.clock)(attempts.call)) == 1


def test_failed_attempt_leaves_the_answer_to_the_others(clock: FakeClock) -> None:
    attempts = Attempts(clock, (1.5, OSError("first")), 2.0)
    assert run(clock, Hedge(delay=1.0, clock=clock)(attempts.call), within=3.0) == 2


def test_error_of_the_last_under_way_is_raised(clock: FakeClock) -> None:
    attempts = Attempts(clock, (5.0, OSError("first")), (1.0, OSError("second")))
    with pytest.raises(OSError, match="first"):
        run(clock, Hedge(delay=1.0, clock=clock)(attempts.call))
    attempts = Attempts(clock, (0.5, OSError("at once")))
    with pytest.raises(OSError, match="at once"):
        run(clock, Hedge(delay=1.0, clock=clock)(attempts.call))
    assert len(attempts.begun) == 1


@pytest.mark.parametrize(
    "plan",
    [
        [(2.0, OSError("loser")), 1.0],  # at the same moment as the winner
        [1.5, (9.0, OSError("loser"))],
        [(1.2, OSError("early")), (1.4, OSError("late")), 3.0],
        [(3.0, OSError("1")), (2.0, OSError("2")), (1.0, OSError("3"))],
    ],
)
def test_losers_errors_are_nobodys_warning(plan: list[Any], clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    attempts = Attempts(clock, *plan)

    async def main() -> None:
        with caplog.at_level(logging.ERROR, logger="asyncio"):
            await asyncio.gather(Hedge(delay=1.0, attempts=3, clock=clock)(attempts.call)(), return_exceptions=True)
            await asyncio.sleep(20)
            attempts.plan.clear()
            gc.collect()
        assert caplog.messages == []

    virtual_time.run(main(), clock=clock)


@pytest.mark.parametrize("at", [0.5, 1.5])
def test_cancelled_caller_cancels_and_awaits_all(at: float, clock: FakeClock) -> None:
    ended: list[float] = []

    @Hedge(delay=1.0, clock=clock)
    async def call() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.25)  # cleaning up
            ended.append(clock.monotonic())

    async def main() -> None:
        task = asyncio.create_task(call())
        await asyncio.sleep(at)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [at + 0.25] * (1 if at < 1 else 2)

    virtual_time.run(main(), clock=clock)


def test_losers_are_cancelled_but_not_awaited(clock: FakeClock) -> None:
    ended: list[float] = []

    @Hedge(delay=1.0, clock=clock)
    async def call() -> int:
        number = 1 if clock.monotonic() < 1 else 2
        try:
            await asyncio.sleep(60 if number == 1 else 0.5)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
            ended.append(clock.monotonic())
            raise
        return number

    async def main() -> None:
        assert (await call(), clock.monotonic(), ended) == (2, 1.5, [])
        gc.collect()
        await asyncio.sleep(10)
        assert ended == [6.5]

    virtual_time.run(main(), clock=clock)


def test_budget_bounds_hedges(clock: FakeClock) -> None:
    budget = RetryBudget(0.0, floor=0.0, burst=1.0, clock=clock)
    budget.tokens = 1.0
    policy = Hedge(delay=1.0, attempts=3, budget=budget, clock=clock)
    attempts = Attempts(clock, 5.0, 6.0)
    assert run(clock, policy(attempts.call), within=5.0) == 1
    assert attempts.begun == [0.0, 1.0]
    assert (policy.statistics().hedged, budget.statistics().refused) == (1, 1)


def test_attempts_see_context_and_deadline(clock: FakeClock) -> None:
    seen: list[float | None] = []

    @Timeout(5.0, clock=clock)
    @Hedge(delay=1.0, clock=clock)
    async def call() -> None:
        seen.append(deadline.remaining(clock=clock))
        await asyncio.sleep(2.5)

    run(clock, call)
    assert seen == [5.0, 4.0]


def test_quantile_hedges_what_takes_longer_than_most(clock: FakeClock) -> None:
    policy = Hedge(quantile=0.95, clock=clock)
    hedges_take: list[float] = []

    @policy
    async def call(seconds: float) -> None:
        await asyncio.sleep(hedges_take.pop() if hedges_take else seconds)

    async def main() -> None:
        await asyncio.gather(*(call(0.1 + number / 1000) for number in range(19)))
        assert (policy.statistics().delay, policy.statistics().hedged) == (None, 0)
        await call(0.5)
        assert policy.statistics().delay == pytest.approx(0.118)
        slow, fast = asyncio.create_task(call(9.0)), asyncio.create_task(call(0.1))
        await asyncio.sleep(0.11)
        assert fast.done()
        hedges_take.append(0.05)
        await slow
        assert clock.monotonic() == pytest.approx(0.118 + 0.5 + 0.118 + 0.05)
        assert (policy.statistics().hedged, policy.statistics().won) == (1, 1)

    virtual_time.run(main(), clock=clock)


def test_quantile_is_that_of_the_last_hundred() -> None:
    durations = Durations(0.9)
    for number in range(19):
        durations.add(float(number))
    assert durations.value is None
    for number in range(19, 300):
        durations.add(float(number))
    assert durations.value == 289.0


def test_def_is_raced_in_threads() -> None:
    loser_may_end, begun = threading.Event(), []
    policy = Hedge(delay=0.01)

    @policy
    def call(x: int) -> str:
        begun.append((x, deadline.remaining()))
        if len(begun) == 1:
            assert loser_may_end.wait(10)
            return "first"
        return "second"

    try:
        with deadline.within(60.0):
            assert call(5) == "second"
    finally:
        loser_may_end.set()
    assert [x for x, _ in begun] == [5, 5]
    assert all(left is not None and 59 < left <= 60 for _, left in begun)
    assert (policy.statistics().hedged, policy.statistics().won) == (1, 1)


def test_def_that_fails_raises_its_error() -> None:
    def call() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        Hedge(delay=5.0)(call)()


def test_generators_cannot_be_raced() -> None:
    async def stream() -> Any:
        yield 1

    with pytest.raises(TypeError, match="can't race generators"):
        Hedge(delay=1.0)(stream)


@pytest.mark.parametrize(
    "options",
    [{"delay": -1.0}, {"delay": None}, {"delay": 1.0, "quantile": 0.9}, {"quantile": 0.1}, {"attempts": 1, "delay": 1}],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="Hedge: "):
        Hedge(**options)
