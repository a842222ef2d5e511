"""The table of calls under way: few timers, nothing left behind."""

import asyncio
import gc
import sys
import weakref
from contextlib import suppress
from typing import Any

import pytest

from seawall.core import deadline
from seawall.resilience import CallTimeoutError, Timeout
from seawall.testing import VirtualTimeLoop


def test_a_thousand_calls_wake_the_loop_a_few_times():
    class CountingLoop(VirtualTimeLoop):
        timers = 0

        def call_at(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:  # type: ignore[override]
            self.timers += 1
            return super().call_at(when, *args, **kwargs)

    loop = CountingLoop()
    timeout = Timeout(10.0, clock=loop.clock)

    async def main() -> None:
        answered = asyncio.Event()
        calls = [asyncio.create_task(timeout.call(answered.wait)) for _ in range(1000)]
        await asyncio.sleep(5)
        assert timeout.statistics().running == 1000
        answered.set()
        await asyncio.gather(*calls)
        for _ in range(1000):
            await timeout.call(asyncio.sleep, 0)
        await asyncio.sleep(100)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    assert loop.timers - 2 <= 3


def test_loops_share_it_and_closed_ones_are_forgotten():
    timeout = Timeout(0.01)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        with pytest.raises(CallTimeoutError):
            await timeout.call(asyncio.Event().wait)

    for _ in range(4):
        asyncio.run(main())
    gc.collect()
    assert timeout.statistics().timed_out == 4
    assert sum(reference() is not None for reference in loops) <= 1


def test_a_failed_task_is_free_at_once(clock, run):
    class Payload:
        pass

    kept: list[weakref.ref[Payload]] = []
    timeout = Timeout(1.0, clock=clock)

    async def fail(hang: float) -> None:
        payload = Payload()
        kept.append(weakref.ref(payload))
        await asyncio.sleep(hang)
        raise ConnectionError

    async def main() -> None:
        for hang in (0.0, 60.0):
            for outer in (60.0, 0.5):
                with deadline.within(outer, clock=clock), suppress(ConnectionError, TimeoutError):
                    await asyncio.create_task(timeout.call(fail, hang))
        await asyncio.sleep(0)
        assert [reference() for reference in kept] == [None] * 4

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks_are_cut_too(clock, run):
    timeout = Timeout(1.0, clock=clock)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]

        async def request() -> str:
            return await timeout.call(asyncio.sleep, 0.0, "at once")

        @timeout
        async def outer() -> None:
            inner = [asyncio.create_task(timeout.call(asyncio.sleep, 60)) for _ in range(3)]
            await asyncio.wait(inner)
            assert [type(task.exception()) for task in inner] == [CallTimeoutError] * 3

        assert await asyncio.create_task(request()) == "at once"
        with pytest.raises(CallTimeoutError):
            await asyncio.create_task(outer())
        assert timeout.expiries.calls == {}

    run(main())
