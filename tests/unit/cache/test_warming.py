"""Warming: what runs first, how much at once, what a failure does, and that nothing is left behind."""

import asyncio
import random
from itertools import pairwise

import pytest

from seawall.cache import Cache, CacheWarmingFailed, MemoryTier, Warmer, WarmingState
from seawall.cache.slots import Slots
from seawall.core import Events, Part, deadline
from seawall.testing import EventRecorder
from tests.unit.cache.warming_work import Work, alone, jobs


@pytest.fixture
def cache(clock) -> Cache:
    return Cache(MemoryTier(max_entries=1000), clock=clock, events=Events())


@pytest.fixture
def work() -> Work:
    return Work()


class TestShapes:
    """A strategy is whatever gives coroutines."""

    def test_they_call_cached_functions(self, run, cache):
        loads = []

        @cache.cached("podcasts:{tenant}")
        async def podcasts(tenant: int) -> str:
            loads.append(tenant)
            return f"of {tenant}"

        warmer = Warmer(cache)

        @warmer.strategy("podcasts", at_start=False)
        async def of_all():
            for tenant in range(3):
                yield podcasts(tenant)

        async def main() -> None:
            async with cache:
                await podcasts(1)
                report = await warmer.run()
                assert (report.done, report.failed, report.completed) == (3, 0, True)
                assert await podcasts(2) == "of 2"
                assert sorted(loads) == [0, 1, 2]

        run(main())

    @pytest.mark.parametrize("shape", ["async generator", "generator", "list", "awaited list", "itself"])
    def test_any_shape_will_do(self, run, cache, work, shape):
        names = ["a", "b", "c"]

        async def generating():
            for name in names:
                yield work(name)

        async def listing():
            return [work(name) for name in names]

        async def itself() -> None:
            for name in names:
                await work(name)

        warmer = Warmer(cache)
        warmer.add(
            "any",
            {
                "async generator": generating,
                "generator": lambda: (work(name) for name in names),
                "list": lambda: [work(name) for name in names],
                "awaited list": listing,
                "itself": itself,
            }[shape],
        )

        async def main() -> None:
            (statistics,) = (await warmer.run()).strategies
            assert work.done == names
            assert statistics.total == statistics.done == (0 if shape == "itself" else 3)
            assert statistics.state is WarmingState.COMPLETED

        run(main())

    def test_what_is_no_coroutine_is_refused_and_said(self, run, cache):
        warmer, recorder = Warmer(cache), EventRecorder(cache.events)
        warmer.add("odd", lambda: ["charts"])

        async def main() -> None:
            (statistics,) = (await warmer.run()).strategies
            assert (statistics.state, statistics.last_error) == (WarmingState.FAILED, "TypeError")
            (event,) = recorder.of(CacheWarmingFailed)
            assert str(event.error) == "strategy 'odd' gave a str, not a coroutine such as podcasts(42)"

        run(main())


class TestOrder:
    def test_higher_priorities_come_first(self, run, cache, work):
        warmer = Warmer(cache, concurrency=1)
        for name, priority in (("low", -1), ("high", 10), ("middle", 0)):
            warmer.add(name, jobs(work, name, 2), priority=priority)
        report = run(warmer.run())
        assert work.done == ["high0", "high1", "middle0", "middle1", "low0", "low1"]
        assert [each.seconds for each in report.strategies] == [2.0, 2.0, 2.0]  # the wait for a slot is none of it

    def test_no_more_run_at_once_than_there_are_slots(self, run, cache, work, clock):
        warmer = Warmer(cache, concurrency=3)
        warmer.add("a", jobs(work, "a", 5))
        warmer.add("b", jobs(work, "b", 4))
        report = run(warmer.run())
        assert (work.most, report.done, clock.monotonic()) == (3, 9, 3.0)

    def test_what_a_strategy_leaves_others_take(self, run, cache, work, clock):
        """One that is stuck stops nobody."""
        warmer = Warmer(cache, concurrency=2)
        warmer.add("stuck", jobs(work, "stuck", 1, seconds=1000.0), priority=10)
        warmer.add("low", jobs(work, "low", 3))

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(3.5)
                assert work.done == ["low0", "low1", "low2"]

        run(main())

    def test_jobs_are_asked_for_as_there_are_slots(self, run, cache, work):
        given = []

        async def many():
            for number in range(1000):
                given.append(number)
                yield work(str(number))

        warmer = Warmer(cache, concurrency=4)
        warmer.add("many", many)

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(0.5)
                assert len(given) == 4

        run(main())

    def test_a_slot_is_not_lost_with_one_who_is_cancelled_as_he_gets_it(self, run):
        async def main() -> None:
            slots = Slots(1)
            await slots.acquire(0)
            waiting = [asyncio.create_task(slots.acquire(priority)) for priority in (5, 0)]
            await asyncio.sleep(0)
            slots.release()
            waiting[0].cancel()
            await asyncio.wait_for(waiting[1], 1.0)
            slots.release()
            assert slots.free == 1

        run(main())


class TestBackground:
    def test_the_start_waits_for_nothing(self, run, cache, work, clock):
        warmer = Warmer(cache)
        warmer.add("charts", jobs(work, "charts", 8))
        warmer.add("later", jobs(work, "later", 1), at_start=False)

        async def main() -> None:
            async with warmer:
                assert clock.monotonic() == 0.0
                assert work.begun == []
                assert isinstance(warmer, Part)
                await asyncio.sleep(1.5)
                charts, later = warmer.statistics()
                assert (charts.state, charts.done, charts.total) == (WarmingState.RUNNING, 4, None)
                assert (charts.seconds, charts.started) == (1.5, clock._start)
                assert (later.state, later.started, later.seconds) == (WarmingState.WAITING, None, 0.0)
                await asyncio.sleep(1.0)
                charts, later = warmer.statistics()
                assert (charts.state, charts.done, charts.total) == (WarmingState.COMPLETED, 8, 8)
                assert charts.seconds == 2.0
                assert later.state is WarmingState.WAITING

        run(main())

    def test_again_every_so_often_a_tenth_more_or_less(self, run, cache, clock, monkeypatch):
        times = []

        async def note() -> None:
            times.append(clock.monotonic())
            await asyncio.sleep(1.0)

        random.seed(1)
        warmer = Warmer(cache)
        warmer.add("note", note, every=100.0)

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(2000.0)

        run(main())
        gaps = [after - before for before, after in pairwise(times)]
        assert times[0] == 0.0
        assert len(gaps) > 15
        assert all(91.0 <= gap <= 111.0 for gap in gaps)
        assert max(gaps) - min(gaps) > 5.0

    def test_periodic_ones_may_begin_later(self, run, cache, work):
        warmer = Warmer(cache)
        warmer.add("later", jobs(work, "later", 1), every=100.0, at_start=False)

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(89.0)
                assert work.begun == []
                await asyncio.sleep(25.0)
                assert work.done == ["later0"]

        run(main())

    def test_one_added_while_it_runs_begins(self, run, cache, work):
        warmer = Warmer(cache)

        async def main() -> None:
            async with warmer:
                warmer.add("late", jobs(work, "late", 1))
                await asyncio.sleep(1.5)
                assert work.done == ["late0"]

        run(main())

    def test_a_stop_ends_everything_and_leaves_nothing(self, run, cache, work, clock):
        warmer = Warmer(cache, concurrency=2)
        closed = []

        async def careful():
            try:
                for number in range(10):
                    yield work(str(number))
            finally:
                closed.append(True)

        warmer.add("careful", careful)
        warmer.add("list", lambda: [work("a"), work("b"), work("c")], priority=-1)
        warmer.add("periodic", jobs(work, "p", 1), every=5.0, at_start=False)

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(1.5)
                on_demand = asyncio.create_task(warmer.run("list"))
                await asyncio.sleep(0)
            assert clock.monotonic() == 1.5
            assert closed == [True]
            assert (await on_demand).strategies[0].state is WarmingState.CANCELLED
            assert alone()
            assert (work.running, warmer._slots.free) == (0, 2)
            assert {each.state for each in warmer.statistics()} == {WarmingState.CANCELLED, WarmingState.WAITING}
            async with warmer:  # and it can be started again
                await asyncio.sleep(20.0)
            assert {each.state for each in warmer.statistics()} == {WarmingState.COMPLETED}

        run(main())

    def test_a_stop_asks_a_strategy_for_nothing_more(self, run, cache, work):
        given = []

        def generating():
            for number in range(10):
                given.append(number)
                yield work(str(number))

        warmer = Warmer(cache, concurrency=2)
        warmer.add("generator", generating)

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(0.5)
            assert given == [0, 1]

        run(main())

    def test_a_stop_waits_for_what_is_being_cancelled(self, run, cache):
        async def slow_to_end() -> None:
            try:
                await asyncio.sleep(100.0)
            finally:
                await asyncio.sleep(1.0)

        warmer = Warmer(cache)
        warmer.add("slow", lambda: [slow_to_end()], at_start=False)

        async def main() -> None:
            async with warmer:
                with deadline.within(1.0, clock=cache.clock):
                    await warmer.run()
            assert alone()

        run(main())

    def test_a_stop_before_the_first_step(self, run, cache, work):
        """Jobs that never ran are closed, or Python warns of coroutines that nobody awaited."""
        warmer = Warmer(cache)
        warmer.add("list", lambda: [work(str(number)) for number in range(8)])

        async def main() -> None:
            for steps in range(6):
                async with warmer:
                    for _ in range(steps):
                        await asyncio.sleep(0)
                assert alone()
                assert (work.running, warmer._slots.free) == (0, 4)

        run(main())
