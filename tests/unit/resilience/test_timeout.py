import asyncio
from typing import Any

import pytest

from seawall.core import Events, OptionError, deadline
from seawall.resilience import CallTimedOut, CallTimeoutError, DeadlineExceededError, Pipeline, Retry, Timeout
from seawall.testing import EventRecorder


class TestCut:
    @pytest.mark.parametrize("seconds", [0.0001, 0.3, 1.0, 86_400.0])
    def test_a_call_is_cut_after_exactly_its_time(self, clock, run, seconds):
        timeout = Timeout(seconds, "api", clock=clock)

        async def main() -> None:
            with pytest.raises(CallTimeoutError) as caught:
                await timeout.call(asyncio.sleep, 1e9)
            assert clock.monotonic() == seconds
            assert (caught.value.name, caught.value.seconds, caught.value.cut_by) == ("api", seconds, "timeout")
            assert isinstance(caught.value, TimeoutError)

        run(main())

    def test_each_of_many_calls_is_cut_after_exactly_its_time(self, clock, run):
        timeout = Timeout(1.0, clock=clock)
        cut: list[float] = []

        async def request(begins: float) -> None:
            await asyncio.sleep(begins)
            began = clock.monotonic()
            with pytest.raises(CallTimeoutError):
                await timeout.call(asyncio.sleep, 1e9)
            cut.append(clock.monotonic() - began)

        async def main() -> None:
            await asyncio.gather(*(request(number * 0.007) for number in range(300)))

        run(main())
        assert cut == pytest.approx([1.0] * 300, abs=1e-6)
        assert timeout.statistics().timed_out == 300

    def test_a_call_in_time_returns_its_result(self, clock, run):
        timeout = Timeout(1.0, clock=clock)

        async def main() -> None:
            assert await timeout.call(asyncio.sleep, 0.999, "done") == "done"
            assert await timeout.call(asyncio.sleep, 0, "done") == "done"
            assert (timeout.statistics().timed_out, timeout.statistics().running) == (0, 0)

        run(main())

    def test_the_error_of_a_call_is_its_own(self, clock, run):
        async def fail() -> None:
            raise KeyError(1)

        async def main() -> None:
            with pytest.raises(KeyError) as caught:
                await Timeout(1.0, clock=clock).call(fail)
            assert caught.value.__context__ is None

        run(main())

    def test_what_was_cut_was_cancelled_and_could_clean_up(self, clock, run):
        ended: list[str] = []

        @Timeout(1.0, clock=clock)
        async def call() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            finally:
                await asyncio.sleep(5)
                ended.append("cleaned up")

        async def main() -> None:
            with pytest.raises(CallTimeoutError) as caught:
                await call()
            assert isinstance(caught.value.__cause__, asyncio.CancelledError)

        run(main())
        assert (ended, clock.monotonic()) == (["cancelled", "cleaned up"], 6)

    def test_a_cancellation_from_outside_stays_one(self, clock, run):
        timeout = Timeout(1.0, clock=clock)

        async def main() -> None:
            task = asyncio.create_task(timeout.call(asyncio.sleep, 60))
            await asyncio.sleep(0.5)
            task.cancel("shutdown")
            with pytest.raises(asyncio.CancelledError, match="shutdown"):
                await task
            assert (task.cancelled(), task.cancelling()) == (True, 1)
            await asyncio.sleep(60)
            assert timeout.statistics().timed_out == 0
            assert timeout.expiries.calls == {}

        run(main())

    def test_a_call_may_run_under_a_timeout_while_its_task_is_being_cancelled(self, clock, run):
        timeout = Timeout(1.0, clock=clock)

        async def request() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                with pytest.raises(CallTimeoutError):
                    await timeout.call(asyncio.sleep, 60)
                assert await timeout.call(asyncio.sleep, 0.5, "flushed") == "flushed"

        async def main() -> None:
            task = asyncio.create_task(request())
            await asyncio.sleep(5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (clock.monotonic(), task.cancelling()) == (6.5, 1)

        run(main())

    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "1", None, True])
    def test_a_time_that_cannot_work_is_refused(self, seconds):
        with pytest.raises(OptionError, match=r"Timeout: seconds is .*; allowed: a number above 0"):
            Timeout(seconds)


class TestNested:
    @pytest.mark.parametrize(
        ("outer", "inner", "blamed"), [(2.0, 5.0, "outer"), (5.0, 2.0, "inner"), (2.0, 2.0, "outer")]
    )
    def test_the_shorter_one_cuts_and_is_blamed(self, clock, run, outer, inner, blamed):
        timeouts = {"outer": Timeout(outer, "outer", clock=clock), "inner": Timeout(inner, "inner", clock=clock)}

        @timeouts["outer"]
        @timeouts["inner"]
        async def call() -> None:
            await asyncio.sleep(60)

        async def main() -> None:
            with pytest.raises(CallTimeoutError) as caught:
                await call()
            assert (caught.value.name, caught.value.cut_by, clock.monotonic()) == (blamed, "timeout", 2.0)
            counts = {name: timeout.statistics().timed_out for name, timeout in timeouts.items()}
            assert counts == {"outer": 0, "inner": 0} | {blamed: 1}
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0

        run(main())

    def test_one_timeout_entered_again_by_its_own_task(self, clock, run):
        timeout = Timeout(2.0, clock=clock)
        depths: list[int] = []

        @timeout
        async def call(depth: int) -> str:
            await asyncio.sleep(0.5)
            try:
                return await call(depth + 1)
            finally:
                depths.append(depth)

        async def main() -> None:
            with pytest.raises(CallTimeoutError):
                await call(0)
            assert clock.monotonic() == 2.0
            assert timeout.expiries.calls == {}
            assert timeout.statistics().timed_out == 1

        run(main())
        assert depths == [2, 1, 0]

    def test_total_and_attempt_timeouts_around_a_retry(self, clock, run):
        pipeline = Pipeline(
            "api",
            Timeout(5.0, "total"),
            Retry(on=TimeoutError, attempts=10, first_delay=0.1, factor=1.0, jitter="none"),
            Timeout(2.0, "attempt"),
            clock=clock,
        )
        begun: list[float] = []

        @pipeline
        async def call() -> None:
            begun.append(clock.monotonic())
            await asyncio.sleep(60)

        async def main() -> None:
            with pytest.raises(CallTimeoutError, match="'total' took longer than its timeout of 5 s"):
                await call()

        run(main())
        assert begun == pytest.approx([0, 2.1, 4.2])
        assert clock.monotonic() == 5.0

    @pytest.mark.parametrize(("outer", "inner"), [(1.0, 3.0), (3.0, 1.0)])
    @pytest.mark.parametrize("asyncio_is_outside", [True, False])
    def test_beside_asyncio_timeout_the_shorter_one_cuts(self, clock, run, outer, inner, asyncio_is_outside):
        seconds = inner if asyncio_is_outside else outer
        other = outer if asyncio_is_outside else inner
        timeout = Timeout(seconds, clock=clock)

        async def by_asyncio(call: Any) -> None:
            async with asyncio.timeout(other):
                await call()

        async def hang() -> None:
            await asyncio.sleep(60)

        async def main() -> None:
            with pytest.raises(TimeoutError) as caught:
                await (by_asyncio(timeout(hang)) if asyncio_is_outside else timeout.call(by_asyncio, hang))
            assert clock.monotonic() == 1.0
            assert isinstance(caught.value, CallTimeoutError) == (seconds < other)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            assert timeout.expiries.calls == {}

        run(main())

    def test_a_task_group_inside_is_cancelled_whole(self, clock, run):
        cancelled: list[int] = []

        async def child(number: int) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(number)
                raise

        @Timeout(1.0, clock=clock)
        async def call() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(3):
                    group.create_task(child(number))

        async def main() -> None:
            with pytest.raises(CallTimeoutError):
                await call()

        run(main())
        assert (sorted(cancelled), clock.monotonic()) == ([0, 1, 2], 1.0)

    def test_in_a_task_group_a_timeout_cancels_the_others(self, clock, run):
        async def group_of(late: list[asyncio.Task[None]]) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(Timeout(1.0, clock=clock).call(asyncio.sleep, 60))
                late.append(group.create_task(Timeout(5.0, clock=clock).call(asyncio.sleep, 60)))

        async def main() -> None:
            late: list[asyncio.Task[None]] = []
            with pytest.raises(ExceptionGroup) as caught:
                await group_of(late)
            assert [type(error) for error in caught.value.exceptions] == [CallTimeoutError]
            assert late[0].cancelled()
            assert clock.monotonic() == 1.0

        run(main())


class TestDeadline:
    def test_a_tighter_deadline_cuts_and_is_blamed(self, clock, run):
        events = Events()
        recorder = EventRecorder(events)
        timeout = Timeout(10.0, "api", clock=clock, events=events)

        async def main() -> None:
            with deadline.within(3.0, clock=clock):
                await asyncio.sleep(1)
                with pytest.raises(CallTimeoutError) as caught:
                    await timeout.call(asyncio.sleep, 60)
            assert clock.monotonic() == 3
            assert (caught.value.seconds, caught.value.cut_by) == (2, "deadline")
            assert (timeout.statistics().timed_out, timeout.statistics().cut_by_deadline) == (0, 1)

        run(main())
        assert recorder.of(CallTimedOut) == [CallTimedOut(policy="api", seconds=2.0, cut_by="deadline")]

    def test_after_the_deadline_the_call_is_refused_before_it_begins(self, clock, run):
        async def never() -> None:
            pytest.fail("called after the deadline")

        async def main() -> None:
            with deadline.within(1.0, clock=clock):
                await asyncio.sleep(1.5)
                with pytest.raises(DeadlineExceededError, match=r"'api' was not called: .* passed 0.500 s ago"):
                    await Timeout(10.0, "api", clock=clock).call(never)
                assert deadline.remaining(clock=clock) == 0

        run(main())

    def test_it_opens_a_deadline_for_what_is_called_and_closes_it(self, clock, run):
        timeout = Timeout(4.0, clock=clock)
        seen: list[float | None] = []

        @timeout
        async def call(error: Exception | None = None) -> None:
            await asyncio.sleep(1)
            seen.append(await asyncio.create_task(timeout.call(remaining)))
            if error is not None:
                raise error

        async def remaining() -> float | None:
            return deadline.remaining(clock=clock)

        async def main() -> None:
            await call()
            assert deadline.remaining() is None
            with pytest.raises(KeyError):
                await call(KeyError())
            assert deadline.remaining() is None

        run(main())
        assert seen == [3, 3]
