import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from seawall.core import deadline
from seawall.resilience import CallTimeoutError, DeadlineExceededError, Timeout
from seawall.testing import FakeClock, virtual_time


def left(clock: FakeClock) -> float | None:
    return deadline.remaining(clock=clock)


class TestStream:
    def test_each_wait_is_bounded_and_the_consumers_time_is_not(self, clock, run):
        @Timeout(2.0, clock=clock)
        async def stream() -> AsyncIterator[int]:
            for number in range(3):
                await asyncio.sleep(1.5)
                yield number
            await asyncio.sleep(60)
            yield 99

        async def main() -> None:
            got: list[int] = []

            async def consume() -> None:
                async for number in stream():
                    got.append(number)
                    await asyncio.sleep(10)

            with pytest.raises(CallTimeoutError):
                await consume()
            assert (got, clock.monotonic()) == ([0, 1, 2], 3 * 11.5 + 2)

        run(main())

    def test_the_deadline_is_there_within_each_wait_and_not_for_the_consumer(self, clock, run):
        inside: list[float | None] = []

        @Timeout(2.0, clock=clock)
        async def stream() -> AsyncIterator[int]:
            for number in range(2):
                await asyncio.sleep(0.5)
                inside.append(left(clock))
                yield number

        async def main() -> None:
            async for _ in stream():
                assert left(clock) is None
                await asyncio.sleep(7)
            assert left(clock) is None

        run(main())
        assert inside == [1.5, 1.5]

    def test_closing_it_later_leaves_the_consumers_deadline_alone(self, clock, run):
        @Timeout(2.0, clock=clock)
        async def stream() -> AsyncIterator[int]:
            yield 1
            yield 2

        async def main() -> None:
            for close in (True, False):
                with deadline.within(50, clock=clock):
                    items = stream()
                    assert await anext(items) == 1
                if close:
                    await items.aclose()  # type: ignore[attr-defined]
                else:
                    with pytest.raises(KeyError):
                        await items.athrow(KeyError())  # type: ignore[attr-defined]
                assert left(clock) is None
                with deadline.within(3, clock=clock):
                    assert left(clock) == 3

        run(main())

    def test_after_the_deadline_the_next_item_is_refused(self, clock, run):
        @Timeout(2.0, clock=clock)
        async def stream() -> AsyncIterator[int]:
            yield 1
            yield 2

        async def main() -> None:
            items = stream()
            with deadline.within(5, clock=clock):
                assert await anext(items) == 1
                await asyncio.sleep(6)
                with pytest.raises(DeadlineExceededError):
                    await anext(items)
                assert left(clock) == 0
            assert left(clock) is None

        run(main())

    def test_items_may_be_taken_by_different_tasks(self, clock, run):
        @Timeout(2.0, clock=clock)
        async def stream() -> AsyncIterator[int]:
            yield 1
            await asyncio.sleep(1)
            yield 2
            await asyncio.sleep(60)

        async def take(items: AsyncIterator[int]) -> int:
            return await anext(items)

        async def main() -> None:
            items = stream()
            assert await asyncio.create_task(take(items)) == 1
            assert await asyncio.create_task(take(items)) == 2
            with pytest.raises(CallTimeoutError):
                await asyncio.create_task(take(items))
            assert clock.monotonic() == 3

        run(main())

    def test_a_generator_function_sees_the_deadline_while_it_makes_an_item(self, clock):
        @Timeout(2.0, clock=clock)
        def numbers() -> Iterator[float | None]:
            yield left(clock)
            clock.advance(1.5)
            yield left(clock)

        items = numbers()
        assert next(items) == 2
        assert left(clock) is None
        assert next(items) == 0.5
        assert list(items) == []
        assert left(clock) is None


class TestFunction:
    def test_it_sees_the_deadline_and_its_late_result_is_returned(self, clock):
        timeout = Timeout(2.0, clock=clock)

        @timeout
        def call() -> tuple[float | None, float | None]:
            before = left(clock)
            clock.advance(5)
            return before, left(clock)

        assert call() == (2, 0)
        assert left(clock) is None
        assert timeout.statistics().timed_out == 0

    def test_the_tighter_deadline_holds_and_a_passed_one_refuses(self, clock):

        @Timeout(2.0, "api", clock=clock)
        def call() -> float | None:
            return left(clock)

        with deadline.within(1, clock=clock):
            assert call() == 1
            clock.advance(1)
            with pytest.raises(DeadlineExceededError, match="'api' was not called"):
                call()
        assert call() == 2

    def test_its_error_closes_the_deadline(self, clock):
        def fail() -> None:
            raise KeyError(1)

        with pytest.raises(KeyError):
            Timeout(2.0, clock=clock).call(fail)
        assert left(clock) is None


class TestGuard:
    def test_a_block_is_cut(self, clock, run):
        timeout = Timeout(2.0, clock=clock)

        async def block() -> None:
            async with timeout.guard():
                assert left(clock) == 2
                assert timeout.statistics().running == 1
                await asyncio.sleep(60)

        async def main() -> None:
            with pytest.raises(CallTimeoutError):
                await block()
            assert (clock.monotonic(), left(clock)) == (2, None)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            assert timeout.statistics().running == 0

        run(main())

    def test_a_blocking_block_has_the_deadline(self, clock):
        with Timeout(2.0, clock=clock).guard():
            assert left(clock) == 2
        assert left(clock) is None

    def test_a_cancellation_from_outside_stays_one(self, clock, run):
        async def block() -> None:
            async with Timeout(2.0, clock=clock).guard():
                await asyncio.sleep(60)

        async def main() -> None:
            for at_the_same_time_as_the_cut in (False, True):
                task = asyncio.create_task(block())
                await asyncio.sleep(2 if at_the_same_time_as_the_cut else 1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        run(main())


def test_running_counts_all_calls_under_way(clock, run):
    timeout = Timeout(10.0, clock=clock)

    async def main() -> None:
        with deadline.within(5, clock=clock):
            calls = [asyncio.create_task(timeout.call(asyncio.sleep, 3))]
        calls.append(asyncio.create_task(timeout.call(asyncio.sleep, 3)))
        await asyncio.sleep(1)
        assert timeout.statistics().running == 2
        await asyncio.wait(calls)
        assert timeout.statistics().running == 0

    run(main())


def test_event_loops_in_many_threads_share_one_timeout():
    timeout = Timeout(0.05)
    started = threading.Barrier(4)

    async def main() -> None:
        started.wait(5)
        for _ in range(200):
            assert await timeout.call(asyncio.sleep, 0, "in time") == "in time"
        hung = [asyncio.create_task(timeout.call(asyncio.Event().wait)) for _ in range(10)]
        await asyncio.wait(hung)
        assert [type(task.exception()) for task in hung] == [CallTimeoutError] * 10

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(lambda: asyncio.run(main())) for _ in range(4)]:
            done.result()
    assert timeout.statistics().running == 0


def test_a_loop_that_was_stopped_in_the_middle_leaves_nothing_behind():
    timeout = Timeout(0.01)

    async def interrupted() -> None:
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]
        await timeout.call(asyncio.Event().wait)

    async def cut() -> None:
        with pytest.raises(CallTimeoutError):
            await timeout.call(asyncio.Event().wait)

    for _ in range(3):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(interrupted())
        asyncio.run(cut())
    assert timeout.statistics().running == 0


def test_without_a_loop_it_says_what_is_missing(clock):
    call = Timeout(1.0, clock=clock)(asyncio.sleep)(1)
    assert inspect.iscoroutine(call)
    with pytest.raises(RuntimeError, match="no running event loop"):
        call.send(None)


def test_timeout_on_the_system_clock_works_on_virtual_time():
    timeout = Timeout(30.0)

    async def main() -> None:
        with pytest.raises(CallTimeoutError):
            await timeout.call(asyncio.sleep, 3600)
        assert asyncio.get_running_loop().time() == pytest.approx(30.0)
        assert await timeout.call(asyncio.sleep, 1, "in time") == "in time"

    virtual_time.run(main())
