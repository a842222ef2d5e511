"""A thousand callers at once of a dependency that is down: what reaches it."""

import asyncio

import pytest

from seawall.core import SeawallError
from seawall.resilience import (
    AIMD,
    AdaptiveLimit,
    Bulkhead,
    CircuitBreaker,
    Pipeline,
    Retry,
    RetryBudget,
    Timeout,
)
from seawall.testing import FakeClock, virtual_time

CALLERS = 1000


class Dead:
    """Fails after a while; notes how many calls came and how many were there at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = self.running = self.most = 0

    async def call(self) -> None:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            raise ConnectionError
        finally:
            self.running -= 1


def storm(pipeline: Pipeline, dead: Dead, clock: FakeClock) -> None:
    async def main() -> None:
        call = pipeline(dead.call)
        outcomes = await asyncio.gather(*(call() for _ in range(CALLERS)), return_exceptions=True)
        assert all(isinstance(outcome, (ConnectionError, SeawallError)) for outcome in outcomes)

    virtual_time.run(main(), clock=clock)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 60.0])
@pytest.mark.parametrize("max_waiting", [0, CALLERS])
def test_bulkhead_bounds_the_first_wave_and_the_breaker_the_rest(max_waiting: int, seconds: float) -> None:
    clock, dead = FakeClock(), Dead(seconds)
    slots = Bulkhead(20, max_waiting=max_waiting, clock=clock)
    pipeline = Pipeline(
        "flagship",
        slots,
        Timeout(60.0, clock=clock),
        Retry(on=OSError, attempts=3, budget=RetryBudget(clock=clock), clock=clock),
        CircuitBreaker.consecutive(failures=5, open_for=30.0, clock=clock),
        Timeout(20.0, clock=clock),
    )
    storm(pipeline, dead, clock)
    assert 5 <= dead.most <= 20
    assert dead.calls <= 3 * 20
    assert (slots.permits.in_use, slots.permits.waiting) == (0, 0)


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_budget_bounds_the_load_without_breaker_or_bulkhead(seconds: float) -> None:
    clock, dead = FakeClock(), Dead(seconds)
    pipeline = Pipeline("p", Retry(on=OSError, attempts=3, budget=RetryBudget(clock=clock), clock=clock))
    storm(pipeline, dead, clock)
    assert CALLERS < dead.calls <= 1.2 * CALLERS


@pytest.mark.parametrize("max_waiting", [0, CALLERS])
def test_adaptive_limit_bounds_the_first_wave(max_waiting: int) -> None:
    clock, dead = FakeClock(), Dead(60.0)
    limit = AdaptiveLimit(AIMD(initial=20), max_waiting=max_waiting, clock=clock)
    pipeline = Pipeline(
        "flagship",
        Retry(on=OSError, attempts=3, budget=RetryBudget(clock=clock), clock=clock),
        limit,
        CircuitBreaker.consecutive(failures=5, open_for=30.0, clock=clock),
        Timeout(2.0, clock=clock),
    )
    storm(pipeline, dead, clock)
    assert 5 <= dead.most <= 20
    assert dead.calls <= 3 * 20
    assert (limit.permits.in_use, limit.permits.waiting) == (0, 0)
