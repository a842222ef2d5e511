"""Permits: who gets one, who waits, who is turned away; against a model, and with real threads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seawall.resilience import Bulkhead
from seawall.resilience.permits import Permits, TaskWaiter, ThreadWaiter


class Caller:
    """A waiter without a thread or a task: `said` is what it was woken with."""

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.granted: bool | None = None
        self.said: list[bool | None] = []

    def wake(self) -> None:
        self.said.append(self.granted)


class PermitsMachine(RuleBasedStateMachine):
    """Compares with a model: a set of holders and a list of waiters in the order in which they came."""

    @initialize(limit=st.integers(1, 3), max_waiting=st.integers(0, 4))
    def begin(self, limit: int, max_waiting: int) -> None:
        self.permits = Permits(limit, max_waiting)
        self.limit = limit
        self.holding: list[Caller] = []
        self.queue: list[Caller] = []

    def hand_on(self) -> None:
        while self.queue and len(self.holding) < self.limit:
            first = max(self.queue, key=lambda caller: caller.priority)  # of equals the earliest
            self.queue.remove(first)
            self.holding.append(first)
            assert (first.granted, first.said) == (True, [True])

    @rule(priority=st.sampled_from([-10, 0, 0, 10]))
    def enter(self, priority: int) -> None:
        caller = Caller(priority)
        answer = self.permits.enter(caller, priority)
        if len(self.holding) < self.limit:
            assert answer is True
            self.holding.append(caller)
        elif len(self.queue) < self.permits.max_waiting:
            assert answer is None
            self.queue.append(caller)
        else:
            lowest = min((other.priority for other in self.queue), default=priority)
            if lowest >= priority:
                assert answer is False
                return
            assert answer is None
            evicted = [other for other in self.queue if other.priority == lowest][-1]
            assert (evicted.granted, evicted.said) == (False, [False])
            self.queue.remove(evicted)
            self.queue.append(caller)

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.holding.remove(data.draw(st.sampled_from(self.holding)))
        self.permits.release()
        self.hand_on()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(self.queue))
        self.queue.remove(caller)
        self.permits.leave(caller)

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def leave_when_granted_already(self, data: st.DataObject) -> None:
        """As a waiter does whose cancellation comes together with its permit."""
        caller = data.draw(st.sampled_from(self.holding))
        if caller.granted:
            self.holding.remove(caller)
            self.permits.leave(caller)
            self.hand_on()

    @rule(limit=st.integers(1, 5))
    def change_limit(self, limit: int) -> None:
        self.limit = self.permits.limit = limit
        self.permits.grant()
        self.hand_on()

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "permits"):
            assert self.permits.in_use == len(self.holding)
            assert self.permits.waiting == len(self.queue)
            assert all(caller.said == [] for caller in self.queue)


TestPermits = PermitsMachine.TestCase
TestPermits.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_permit_comes_back_from_a_task_cancelled_while_another_thread_grants_it() -> None:
    """The grant is known under the lock, before the waiter is woken; what is cancelled in between gives it back."""
    permits = Permits(1, 1)
    permits.enter(Caller(0))

    class Late(TaskWaiter):
        """Woken by a thread that is interrupted just before."""

        def wake(self) -> None:
            pass

    async def main() -> None:
        waiter = Late()
        assert permits.enter(waiter) is None
        task = asyncio.create_task(waiter.wait(permits, None))
        await asyncio.sleep(0)
        permits.release()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (permits.in_use, permits.waiting) == (0, 0)


def test_waiters_of_a_closed_event_loop_are_passed_over() -> None:
    permits = Permits(1, 3)
    permits.enter(Caller(0))

    def leave_behind(priority: int) -> None:
        loop = asyncio.new_event_loop()

        async def queue() -> None:
            assert permits.enter(TaskWaiter(), priority) is None

        loop.run_until_complete(queue())
        loop.close()

    leave_behind(-1)
    leave_behind(0)
    leave_behind(0)
    # Evicting one of them must not fail the newcomer.
    important, last = Caller(1), Caller(0)
    assert permits.enter(important, 1) is None
    permits.release()
    assert important.granted
    assert permits.enter(last) is None
    permits.release()
    assert last.granted
    permits.release()
    assert (permits.in_use, permits.waiting) == (0, 0)


def test_thread_that_is_interrupted_leaves_the_queue() -> None:
    permits = Permits(1, 1)
    permits.enter(Caller(0))

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    waiter: Any = ThreadWaiter()
    waiter._event = Interrupted()
    assert permits.enter(waiter) is None
    with pytest.raises(KeyboardInterrupt):
        waiter.wait(permits, None)
    permits.release()
    assert (permits.in_use, permits.waiting) == (0, 0)


class Gauge:
    """How many are inside now, the most that ever were, and how many came out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = self.left = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1
            self.left += 1


THREADS, CALLS, LIMIT = 16, 2000, 3


@pytest.mark.usefixtures("eager_threads")
def test_threads_and_event_loops_share_permits_and_nobody_is_lost() -> None:
    """Real threads: 16 with 2,000 calls each, and two event loops with 40 tasks each, some of them cancelled."""
    slots, gauge, together = Bulkhead(LIMIT, max_waiting=1000), Gauge(), threading.Barrier(THREADS + 2)

    @slots
    def blocking() -> None:
        with gauge:
            pass

    @slots
    async def awaiting() -> None:
        with gauge:
            await asyncio.sleep(0)

    def thread() -> None:
        together.wait()
        for _ in range(CALLS):
            blocking()

    async def tasks() -> None:
        async def calls() -> None:
            for _ in range(20):
                await awaiting()

        begun = [asyncio.create_task(calls()) for _ in range(40)]
        await asyncio.sleep(0.001)
        for task in begun[::4]:
            task.cancel()
        outcomes = await asyncio.gather(*begun, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert outcomes.count(None) >= 30

    def loop() -> None:
        together.wait()
        asyncio.run(tasks())

    with ThreadPoolExecutor(THREADS + 2) as pool:
        for future in [pool.submit(thread) for _ in range(THREADS)] + [pool.submit(loop) for _ in range(2)]:
            future.result(timeout=60)
    assert gauge.left >= THREADS * CALLS + 2 * 30 * 20
    assert 1 < gauge.most <= LIMIT
    assert (slots.permits.in_use, slots.permits.waiting, gauge.inside) == (0, 0, 0)
