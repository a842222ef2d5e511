"""How long an answer is given, and what stands in when there is none."""

import asyncio
from typing import Any

import pytest

from seawall.cache import MISSING, Cache, CacheLoadFailed, Freshness, Load, LoadTimeoutError, loading
from seawall.core import Events, OptionError, deadline
from seawall.testing import EventRecorder
from tests.unit.cache.conftest import Source


def freshness(**options: Any) -> Freshness:
    return Freshness(**{"ttl": 10.0, "jitter": 0.0, **options})


@pytest.fixture
def make(clock):
    return lambda events=None, **options: Cache(freshness=freshness(**options), clock=clock, events=events)


class TestTimeToLive:
    def test_a_value_is_kept_for_its_ttl_and_no_longer(self, make, run, source):
        cache = make()

        async def main() -> None:
            assert await cache.get_or_set("k", source) == 1
            await asyncio.sleep(9.999)
            assert await cache.get_or_set("k", source) == 1
            await asyncio.sleep(0.001)
            assert await cache.get("k") is None
            assert await cache.get_or_set("k", source) == 2

        run(main())

    def test_jitter_only_shortens(self, make, run, source):
        cache = make(jitter=0.5)

        async def main() -> None:
            for number in range(200):
                await cache.set(f"k:{number}", number)
            await asyncio.sleep(5.0)
            there = len(await cache.get_many([f"k:{number}" for number in range(200)]))
            assert there == 200
            await asyncio.sleep(2.5)
            assert 50 < len(await cache.get_many([f"k:{number}" for number in range(200)])) < 150
            await asyncio.sleep(2.5)
            assert await cache.get_many([f"k:{number}" for number in range(200)]) == {}

        run(main())

    def test_the_loader_sets_it(self, make, run):
        cache = make()

        async def load(load: Load) -> str:
            load.ttl = 100.0
            return "long"

        async def main() -> None:
            await cache.get_or_set("k", load)
            await asyncio.sleep(99.0)
            assert await cache.get("k") == "long"

        run(main())

    def test_a_ttl_of_0_is_not_kept(self, make, run, source):
        cache = make()

        async def load(load: Load) -> object:
            load.ttl = 0
            return await source()

        async def main() -> None:
            assert await cache.get_or_set("k", load) == 1
            assert await cache.get_or_set("k", load) == 2

        run(main())

    @pytest.mark.parametrize("ttl", [0, -1, float("nan"), "1"])
    def test_impossible_ones_are_refused(self, make, run, ttl):
        with pytest.raises(OptionError):
            run(make().set("k", 1, ttl=ttl))
        with pytest.raises(OptionError):
            Freshness(ttl=ttl)


class TestStaleWhileRevalidate:
    def test_the_old_answer_at_once_the_new_one_behind(self, make, run, clock):
        cache, source = make(stale_while_revalidate=5.0), Source(seconds=2.0)

        async def main() -> None:
            assert await cache.get_or_set("k", source) == 1
            await asyncio.sleep(12.0)
            before = clock.monotonic()
            assert [await cache.get_or_set("k", source) for _ in range(3)] == [1, 1, 1]
            assert clock.monotonic() == before
            await asyncio.sleep(2.1)
            assert await cache.get_or_set("k", source) == 2
            assert source.loads == 2

        run(main())

    def test_after_it_callers_wait(self, make, run, clock):
        cache, source = make(stale_while_revalidate=5.0), Source(seconds=2.0)

        async def main() -> None:
            await cache.get_or_set("k", source)
            await asyncio.sleep(15.0)
            assert await cache.get_or_set("k", source) == 2

        run(main())


class TestEagerRefresh:
    def test_a_read_late_in_life_refreshes_behind_the_caller(self, make, run):
        cache, source = make(eager=0.8), Source(seconds=1.0)

        async def main() -> None:
            assert await cache.get_or_set("k", source) == 1
            await asyncio.sleep(7.9)
            assert await cache.get_or_set("k", source) == 1
            await asyncio.sleep(0.2)
            assert source.loads == 1
            assert await cache.get_or_set("k", source) == 1
            await asyncio.sleep(1.1)
            assert await cache.get_or_set("k", source) == 2
            await asyncio.sleep(7.0)
            assert source.loads == 2

        run(main())


class TestFailSafe:
    def test_a_stale_answer_stands_in_for_a_failing_loader_and_rests(self, make, run):
        events = Events()
        recorder = EventRecorder(events)
        cache, source = make(events, fail_safe=60.0, fail_safe_for=2.0), Source()

        async def main() -> None:
            assert await cache.get_or_set("k", source) == 1
            await asyncio.sleep(11.0)
            source.error = ConnectionError("down")
            assert await cache.get_or_set("k", source) == 1
            for _ in range(10):
                assert await cache.get_or_set("k", source) == 1
            assert source.loads == 2
            await asyncio.sleep(2.0)
            assert await cache.get_or_set("k", source) == 1
            assert source.loads == 3
            source.error = None
            await asyncio.sleep(2.0)
            assert await cache.get_or_set("k", source) == 4

        run(main())
        failed = [event for event in recorder.events if isinstance(event, CacheLoadFailed)]
        assert [(event.key, event.stale) for event in failed] == [("k", True), ("k", True)]

    def test_it_ends(self, make, run):
        cache, source = make(fail_safe=60.0), Source()

        async def main() -> None:
            await cache.get_or_set("k", source)
            source.error = ConnectionError("down")
            for _ in range(20):
                await asyncio.sleep(3.0)
                assert await cache.get_or_set("k", source) == 1
            await asyncio.sleep(11.0)
            with pytest.raises(ConnectionError, match="down"):
                await cache.get_or_set("k", source)

        run(main())

    def test_without_it_the_error_is_the_callers(self, make, run):
        cache, source = make(), Source()
        source.error = ValueError("no")

        async def main() -> None:
            for _ in range(2):
                with pytest.raises(ValueError, match="no"):
                    await cache.get_or_set("k", source)
            assert source.loads == 2

        run(main())


class TestTimeouts:
    def test_a_soft_one_gives_the_stale_answer_and_lets_the_load_go_on(self, make, run, clock):
        cache, source = make(fail_safe=60.0, soft_timeout=0.5), Source()

        async def main() -> None:
            await cache.get_or_set("k", source)
            await asyncio.sleep(11.0)
            source.seconds = 3.0
            began = clock.monotonic()
            assert await cache.get_or_set("k", source) == 1
            assert clock.monotonic() - began == pytest.approx(0.5)
            await asyncio.sleep(2.6)
            assert await cache.get("k") == 2

        run(main())

    def test_a_hard_one_ends_the_load(self, make, run, clock):
        cache, source = make(hard_timeout=1.0), Source(seconds=60.0)

        async def main() -> None:
            with pytest.raises(LoadTimeoutError, match="'k' took longer than 1 s"):
                await cache.get_or_set("k", source)
            assert clock.monotonic() == pytest.approx(1.0)

        run(main())

    def test_the_deadline_of_one_caller_does_not_end_the_load_of_another(self, make, run, clock):
        cache, source = make(), Source(seconds=5.0)

        async def hasty() -> None:
            with deadline.within(1.0, clock=clock), pytest.raises(LoadTimeoutError):
                await cache.get_or_set("k", source)

        async def main() -> None:
            first = asyncio.create_task(hasty())
            await asyncio.sleep(0)
            assert await cache.get_or_set("k", source) == 1
            await first
            assert clock.monotonic() == pytest.approx(5.0)

        run(main())

    def test_nor_bounds_it(self, make, run, clock):
        async def main() -> None:
            with deadline.within(1.0, clock=clock):
                assert await make().get_or_set("k", lambda: deadline.remaining(clock=clock)) is None

        run(main())


class TestNegative:
    def test_none_is_a_value(self, make, run, source):
        cache = make()

        async def load():
            await source()

        async def main() -> None:
            assert await cache.get_or_set("k", load) is None
            assert await cache.get_or_set("k", load) is None
            assert source.loads == 1
            assert await cache.get("k", MISSING) is None

        run(main())

    @pytest.mark.parametrize(("seconds", "loads"), [(0.0, 2), (2.0, 1)])
    def test_it_has_a_time_of_its_own(self, make, run, source, seconds, loads):
        cache = make(negative_ttl=seconds)

        async def load():
            await source()

        async def main() -> None:
            await cache.get_or_set("k", load)
            await cache.get_or_set("k", load)
            assert source.loads == loads
            await asyncio.sleep(2.0)
            await cache.get_or_set("k", load)
            assert source.loads == loads + 1

        run(main())

    def test_chosen_errors_are_answers(self, make, run):
        cache, source = make(negative_errors=(LookupError,), negative_ttl=3.0), Source()
        source.error = KeyError("nobody")

        async def main() -> None:
            for _ in range(3):
                with pytest.raises(KeyError, match="nobody"):
                    await cache.get_or_set("k", source)
            assert source.loads == 1
            await asyncio.sleep(3.0)
            source.error = None
            assert await cache.get_or_set("k", source) == 2

        run(main())


class TestConditionalRefresh:
    def test_the_loader_gets_the_stale_value_and_its_validator(self, make, run):
        cache, told = make(fail_safe=60.0), []

        async def load(load: Load) -> object:
            told.append((load.stale, load.validator))
            if load.validator == "v1":
                return load.unchanged()
            load.validator = "v1"
            return ["first"]

        async def main() -> None:
            for _ in range(3):
                assert await cache.get_or_set("k", load) == ["first"]
                await asyncio.sleep(11.0)

        run(main())
        assert told == [(MISSING, None), (["first"], "v1"), (["first"], "v1")]

    def test_a_decorated_function_asks_for_the_load(self, make, run):
        cache = make(fail_safe=60.0)

        @cache.cached("k:{number}")
        async def function(number: int) -> int:
            stale = loading().stale
            return number if stale is MISSING else stale + number

        async def main() -> None:
            assert await function(3) == 3
            await asyncio.sleep(11.0)
            assert await function(3) == 6

        run(main())

    def test_there_is_none_outside(self):
        with pytest.raises(LookupError, match="no load under way"):
            loading()
