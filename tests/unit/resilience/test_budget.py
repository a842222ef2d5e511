"""The retry budget: extra load stays a share of the load, whoever shares the budget."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import OptionError
from seawall.resilience import Hedge, Retry, RetryBudget
from seawall.testing import FakeClock, virtual_time


class Dead:
    """A dependency that fails, after a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls = 0
        self.seconds = seconds

    async def call(self) -> None:
        self.calls += 1
        await asyncio.sleep(self.seconds)
        raise ConnectionError

    def blocking(self) -> None:
        self.calls += 1
        raise ConnectionError


async def crowd(call: Any, callers: int) -> None:
    outcomes = await asyncio.gather(*(call() for _ in range(callers)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ConnectionError}


def test_dead_dependency_gets_little_more_than_its_callers() -> None:
    clock, dead = FakeClock(), Dead()
    budget = RetryBudget(0.1, floor=1.0, clock=clock)
    retry = Retry(on=OSError, attempts=3, first_delay=1.0, budget=budget, clock=clock)
    virtual_time.run(crowd(retry(dead.call), 1000), clock=clock)
    assert 1000 < dead.calls <= 1200
    assert dead.calls == 1000 + budget.statistics().spent
    assert retry.statistics().given_up == 1000


def test_retries_and_hedges_share_one_budget() -> None:
    clock, dead = FakeClock(), Dead(seconds=2.0)
    budget = RetryBudget(0.05, floor=1.0, clock=clock)
    retry = Retry(on=OSError, attempts=3, budget=budget, clock=clock)
    hedge = Hedge(delay=1.0, attempts=3, budget=budget, clock=clock)
    virtual_time.run(crowd(retry(hedge(dead.call)), 1000), clock=clock)
    extra = retry.statistics().retried + hedge.statistics().hedged
    assert retry.statistics().retried > 0
    assert hedge.statistics().hedged > 0
    assert extra == budget.statistics().spent
    # The calls that the retry saw, and the attempts that the hedge saw.
    calls = 1000 + 1000 + retry.statistics().retried
    assert dead.calls == 1000 + extra <= 1000 + 0.05 * calls + 1.0 * clock.monotonic() + 1


STEPS = st.lists(st.one_of(st.just("call"), st.just("extra"), st.floats(0.0, 30.0)), max_size=60)


@given(st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 5.0]), STEPS)
def test_extra_calls_never_exceed_ratio_and_floor(ratio: float, floor: float, steps: list[str | float]) -> None:
    clock = FakeClock()
    budget = RetryBudget(ratio, floor=floor, burst=10.0, clock=clock)
    calls = extra = 0
    for step in steps:
        if step == "call":
            calls += 1
            budget.deposit()
        elif step == "extra":
            allowed = budget.withdraw()
            extra += allowed
            assert allowed or budget.tokens < 1.0
        else:
            clock.advance(float(step))
        assert extra <= ratio * calls + floor * (clock.monotonic() + 1.0) + 1e-6
        assert budget.tokens <= 10.0 + ratio


def test_tokens_come_back_with_time_up_to_the_burst() -> None:
    clock = FakeClock()
    budget = RetryBudget(0.0, floor=2.0, burst=3.0, clock=clock)
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
    clock.advance(0.5)
    assert [budget.withdraw() for _ in range(2)] == [True, False]
    clock.advance(3600)
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]
    statistics = budget.statistics()
    assert (statistics.spent, statistics.refused) == (6, 3)


@pytest.mark.usefixtures("eager_threads")
def test_threads_never_get_more_than_there_is() -> None:
    """Deposits are made in place, without a lock: none may become two."""
    budget = RetryBudget(0.5, floor=0.0, burst=1_000_000.0, clock=FakeClock())
    dead = Dead()
    retry = Retry(on=OSError, attempts=2, first_delay=0.0, budget=budget, clock=FakeClock())
    call, threads, calls = retry(dead.blocking), 8, 1500
    together = Barrier(threads)

    def work() -> None:
        together.wait()
        for _ in range(calls):
            with pytest.raises(ConnectionError):
                call()

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work) for _ in range(threads)]:
            future.result()
    assert threads * calls * 0.45 < budget.statistics().spent <= threads * calls * 0.5


@pytest.mark.parametrize(
    ("options", "named"),
    [({"ratio": 1.5}, "ratio"), ({"floor": -1.0}, "floor"), ({"burst": 0.5}, "burst"), ({"floor": 200.0}, "burst")],
)
def test_impossible_budgets_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=f"RetryBudget: {named} is"):
        RetryBudget(**options)
