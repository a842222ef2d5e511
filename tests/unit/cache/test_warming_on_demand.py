"""Warming on demand, and what a failure does to it."""

import asyncio

import pytest

from seawall.cache import Cache, CacheWarmed, CacheWarmingFailed, MemoryTier, Warmer, WarmingState
from seawall.core import Events, OptionError, Status, deadline
from seawall.testing import EventRecorder
from tests.unit.cache.warming_work import Work, alone, jobs


@pytest.fixture
def cache(clock) -> Cache:
    return Cache(MemoryTier(max_entries=1000), clock=clock, events=Events())


@pytest.fixture
def work() -> Work:
    return Work()


class TestOnDemand:
    def test_one_by_name_or_all(self, run, cache, work):
        warmer = Warmer(cache)
        warmer.add("a", jobs(work, "a", 1))
        warmer.add("b", jobs(work, "b", 2), priority=1)

        async def main() -> None:
            assert [each.name for each in (await warmer.run("a")).strategies] == ["a"]
            report = await warmer.run()
            assert [(each.name, each.done) for each in report.strategies] == [("b", 2), ("a", 1)]
            assert report.seconds == 1.0
            with pytest.raises(OptionError, match="'nobody'; allowed: 'a', 'b'"):
                await warmer.run("nobody")

        run(main())

    def test_a_second_run_joins_the_first(self, run, cache, work):
        warmer = Warmer(cache)
        warmer.add("a", jobs(work, "a", 4))

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(0.5)
                one, other = await asyncio.gather(warmer.run("a"), warmer.run())
                assert one.done == other.done == 4
                assert len(work.begun) == 4

        run(main())

    def test_a_deadline_ends_what_it_started(self, run, cache, work, clock):
        warmer = Warmer(cache, concurrency=1)
        warmer.add("a", jobs(work, "a", 5))

        async def main() -> None:
            with deadline.within(2.5, clock=clock):
                report = await warmer.run()
            assert clock.monotonic() == 2.5
            (statistics,) = report.strategies
            assert (statistics.state, statistics.done, report.completed) == (WarmingState.CANCELLED, 2, False)
            await asyncio.sleep(0.01)
            assert alone()
            assert (work.running, len(work.begun)) == (0, 3)

        run(main())

    def test_a_deadline_does_not_end_what_others_want(self, run, cache, work, clock):
        warmer = Warmer(cache, concurrency=1)
        warmer.add("a", jobs(work, "a", 5))

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(0.5)
                with deadline.within(1.0, clock=clock):
                    report = await warmer.run()
                assert report.strategies[0].state is WarmingState.RUNNING
                assert (await warmer.run()).done == 5
                assert len(work.begun) == 5

        run(main())

    def test_a_caller_who_is_cancelled_ends_what_it_started(self, run, cache, work):
        warmer = Warmer(cache)
        warmer.add("a", jobs(work, "a", 1))

        async def main() -> None:
            caller = asyncio.create_task(warmer.run())
            await asyncio.sleep(0.5)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            await asyncio.sleep(0)
            assert warmer.statistics()[0].state is WarmingState.CANCELLED
            await asyncio.sleep(0.01)
            assert alone()
            assert warmer._slots.free == 4

        run(main())

    def test_the_caller_s_deadline_is_not_the_jobs(self, run, cache, clock):
        left = []

        async def look() -> None:
            left.append(deadline.remaining(clock=clock))

        warmer = Warmer(cache)
        warmer.add("look", lambda: [look()])

        async def main() -> None:
            with deadline.within(5.0, clock=clock):
                await warmer.run()

        run(main())
        assert left == [None]


class TestFailures:
    def test_one_job_fails_the_others_go_on(self, run, cache, work):
        recorder = EventRecorder(cache.events)
        warmer = Warmer(cache)
        error = ConnectionError("down")

        async def mixed():
            yield work("a")
            yield work("b", error=error)
            yield work("c")

        warmer.add("mixed", mixed)

        async def main() -> None:
            report = await warmer.run()
            (statistics,) = report.strategies
            assert (statistics.done, statistics.failed, statistics.total) == (2, 1, 3)
            assert (statistics.state, statistics.last_error) == (WarmingState.COMPLETED, "ConnectionError")
            assert (await warmer.check()).status is Status.HEALTHY

        run(main())
        assert recorder.of(CacheWarmingFailed) == [
            CacheWarmingFailed(cache="cache", strategy="mixed", error=error),
        ]
        assert recorder.of(CacheWarmed) == [
            CacheWarmed(cache="cache", strategy="mixed", done=2, failed=1, seconds=1.0),
        ]

    def test_one_strategy_fails_the_others_go_on(self, run, cache, work):
        recorder = EventRecorder(cache.events)
        warmer = Warmer(cache)

        async def broken():
            yield work("before")
            raise LookupError

        warmer.add("broken", broken, priority=10)
        warmer.add("sound", jobs(work, "sound", 2))

        async def main() -> None:
            report = await warmer.run()
            broken, sound = report.strategies
            assert (broken.state, broken.done, broken.last_error) == (WarmingState.FAILED, 1, "LookupError")
            assert (sound.state, sound.done) == (WarmingState.COMPLETED, 2)
            assert not report.completed
            health = await warmer.check()
            assert (health.status, health.message) == (Status.DEGRADED, "failed to warm: broken")
            assert [event.strategy for event in recorder.of(CacheWarmed)] == ["sound"]

        run(main())

    def test_it_has_failed_if_every_job_did(self, run, cache, work):
        warmer = Warmer(cache)
        warmer.add("down", jobs(work, "down", 3, error=OSError()))
        assert run(warmer.run()).strategies[0].state is WarmingState.FAILED

    def test_a_job_that_waits_for_something_cancelled_failed(self, run, cache):
        async def job() -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        warmer = Warmer(cache)
        warmer.add("a", lambda: [job()])
        (statistics,) = run(warmer.run()).strategies
        assert (statistics.failed, statistics.last_error) == (1, "CancelledError")

    def test_a_failure_does_not_end_the_period(self, run, cache):
        runs = []

        async def broken() -> None:
            runs.append(1)
            raise OSError

        warmer = Warmer(cache)
        warmer.add("broken", broken, every=10.0)

        async def main() -> None:
            async with warmer:
                await asyncio.sleep(100.0)

        run(main())
        assert len(runs) >= 9


class TestOptions:
    def test_impossible_ones_are_refused(self, cache):
        with pytest.raises(OptionError):
            Warmer(cache, concurrency=0)
        warmer = Warmer(cache)
        warmer.add("a", list)
        with pytest.raises(OptionError, match="no other strategy"):
            warmer.add("a", list)
        with pytest.raises(OptionError):
            warmer.add("b", list, every=0.0)

    def test_a_report_is_json(self, run, cache, work):
        import json

        warmer = Warmer(cache)
        warmer.add("a", jobs(work, "a", 1), every=60.0)
        report = json.loads(json.dumps(run(warmer.run("a")).as_dict()))
        assert report["done"] == 1
        assert report["strategies"][0]["started"] == "2026-01-01T00:00:00+00:00"
        assert report["strategies"][0]["state"] == "completed"
