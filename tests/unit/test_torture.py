"""Long runs of the machines. Started by `make torture`."""

import asyncio
import contextlib
import gc
import random
import tracemalloc

import pytest

from seawall.resilience import CircuitBreaker, CircuitOpenError
from seawall.resilience.window import CountWindow, TimeWindow

pytestmark = pytest.mark.torture


def test_a_million_rejections_keep_nothing():
    breaker = CircuitBreaker("down")
    breaker.open()

    @breaker
    async def call() -> None: ...

    async def reject(times: int) -> None:
        for _ in range(times):
            with contextlib.suppress(CircuitOpenError):
                await call()

    async def main() -> int:
        await reject(1000)
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        await reject(1_000_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return after - before

    # What tracemalloc sees is the running counter's own integer object, not a byte a rejection.
    assert asyncio.run(main()) < 1000


@pytest.mark.parametrize("seed", range(3))
def test_windows_equal_brute_force_for_a_million_steps(seed):
    draw = random.Random(seed)
    count, time = CountWindow(100), TimeWindow(10.0, 0.0)
    calls: list[tuple[float, bool]] = []
    now = 0.0
    for _ in range(300_000):
        now += draw.choice([0.0, 0.001, 0.3, 1.0, 7.0]) * draw.random()
        failed = draw.random() < 0.3
        calls.append((now, failed))
        for window in (count, time):
            if failed:
                window.record(now, failed=True, slow=False)
            else:
                window.roll(now)
                window.passed += 1
        del calls[:-20_000]
        if draw.random() < 0.05:
            last = calls[-100:]
            assert count.totals(now)[:2] == (len(last), sum(failed for _, failed in last))
            first = int(now + 1e-12) - 9
            recent = [failed for at, failed in calls if at >= first]
            assert time.totals(now)[:2] == (len(recent), sum(recent))
