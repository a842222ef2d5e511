"""What the cache counts and tells of itself."""

import asyncio
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cache import Cache, Freshness, MemoryTier, ValueTooLargeError
from seawall.testing import FakeClock, virtual_time
from seawall.testing.tier import StoreTier
from tests.unit.cache.conftest import Source


def freshness(**options) -> Freshness:
    return Freshness(**{"ttl": 60.0, "jitter": 0.0, **options})


@pytest.fixture
def make(clock):
    def make(*tiers, max_entries: int = 1000, max_value_bytes: int = 1000, **options) -> Cache:
        tiers = tiers or (MemoryTier(max_entries=max_entries),)
        return Cache(*tiers, freshness=freshness(**options), max_value_bytes=max_value_bytes, clock=clock)

    return make


class TestCounts:
    def test_every_answer_is_counted_once_where_it_came_from(self, make, run, clock, store):
        writer = Cache(MemoryTier(), StoreTier(store), clock=clock)
        cache = make(MemoryTier(), StoreTier(store), stale_while_revalidate=30.0)
        source = Source("value", seconds=0.5)

        async def main() -> None:
            async with writer, cache:
                await writer.set("k:remote", "value", ttl=60.0)
                await cache.get_or_set("k:remote", source)  # remote
                for _ in range(3):
                    await cache.get_or_set("k:remote", source)  # memory
                await asyncio.gather(*(cache.get_or_set("k:new", source) for _ in range(4)))  # misses, 3 wait
                assert await cache.get("k:nothing") is None  # a miss
                await asyncio.sleep(70.0)
                await cache.get_or_set("k:new", source)  # stale
                await asyncio.sleep(100.0)
                await cache.get_or_set("k:new", source)  # a miss, expired

        run(main())
        total = cache.statistics().total
        assert (total.hits, total.remote_hits, total.stale_hits, total.misses) == (3, 1, 1, 6)
        assert (total.waits, total.expired, total.refreshes, total.loads) == (3, 1, 1, 3)
        assert (total.reloads, total.unchanged) == (2, 2)
        assert total.requests == 11
        assert total.hit_ratio == pytest.approx(5 / 11)
        assert total.memory_ratio == pytest.approx(4 / 11)
        assert total.remote_ratio == pytest.approx(1 / 7)
        assert total.load_times.mean == total.load_times.max == 0.5
        assert total.load_times.p95 == pytest.approx(0.5, rel=0.05)

    def test_of_nothing_there_is_no_ratio(self, make):
        total = make().statistics().total
        assert (total.hit_ratio, total.memory_ratio, total.remote_ratio) == (None, None, None)

    def test_by_category_and_template(self, make, run, clock):
        cache = Cache(categories={"charts": Freshness(ttl=5.0)}, clock=clock)

        @cache.cached("charts:{country}", category="charts")
        async def charts(country: str) -> str:
            return country

        async def main() -> None:
            for _ in range(3):
                await charts("se")
                await charts("no")
            await cache.set("user:1", "x")
            await cache.get("user:1")

        run(main())
        statistics = cache.statistics()
        assert [(each.category, each.template, each.hits, each.loads) for each in statistics.templates] == [
            ("charts", "charts:{country}", 4, 2),
            ("default", "user:*", 1, 0),
        ]
        assert {name: counts.requests for name, counts in statistics.categories.items()} == {"charts": 6, "default": 1}
        assert statistics.total.requests == 7

    def test_failures_and_what_stood_in(self, make, run):
        cache, source = make(fail_safe=1000.0, fail_safe_for=0.0), Source("value")

        async def main() -> None:
            await cache.get_or_set("k", source)
            await asyncio.sleep(61.0)
            source.error = OSError("down")
            for _ in range(2):
                await cache.get_or_set("k", source)

        run(main())
        total = cache.statistics().total
        assert (total.loads, total.failed, total.fail_safes, total.misses, total.stale_hits) == (3, 2, 2, 3, 0)

    def test_sizes_and_lives(self, make, run):
        cache = make()

        async def main() -> None:
            await cache.set("k:1", ["a" * 100])
            await cache.set("k:2", ["a" * 300], ttl=30.0)
            with pytest.raises(ValueTooLargeError):
                await cache.set("k:3", ["a" * 1000])
            await cache.get_or_set("k:4", lambda: ["a" * 1000])

        run(main())
        total = cache.statistics().total
        assert total.mean_bytes == pytest.approx(200, abs=10)
        assert total.largest_bytes == pytest.approx(300, abs=10)
        assert (total.mean_ttl, total.writes, total.refused) == (45.0, 2, 2)

    def test_evictions_and_what_was_never_read(self, make, run):
        cache = make(max_entries=10)

        async def main() -> None:
            for number in range(30):
                await cache.set(f"k:{number}", number)
            await cache.get("k:29")
            await cache.delete("k:29")

        run(main())
        statistics = cache.statistics()
        assert (statistics.total.evicted, statistics.total.left, statistics.total.unread) == (20, 21, 20)
        assert (statistics.memory.evicted, statistics.memory.entries, statistics.memory.bytes) == (20, 9, None)

    def test_errors_of_the_tier(self, make, run, store):
        tier = StoreTier(store)
        cache = make(MemoryTier(), tier)

        async def main() -> None:
            async with cache:
                tier.latency = 1.0
                asking = asyncio.create_task(cache.get("k"))
                await asyncio.sleep(0.5)
                tier.cut()
                await asking
                found = cache.statistics().tier
                assert (found.name, found.available, found.errors) == ("store", False, 1)

        run(main())

    def test_it_is_json(self, make, run, store):
        cache = make(MemoryTier(max_entries=100, max_bytes=100_000), StoreTier(store))

        async def main() -> None:
            async with cache:
                await cache.get_or_set("k:1", Source([1]))
                await cache.get_or_set("k:1", Source([1]))

        run(main())
        found = json.loads(json.dumps(cache.statistics().as_dict()))
        assert found["total"]["hit_ratio"] == 0.5
        assert found["total"]["load_times"]["p99"] == 0.0
        assert found["templates"][0]["template"] == "k:*"
        assert found["categories"]["default"]["loads"] == 1
        assert found["hot_keys"] == [{"key": "k:1", "hits": 1, "error": 0}]
        assert found["tier"] == {"name": "store", "available": False, "errors": 0}
        assert found["memory"]["bytes"] > 400


class TestHotKeys:
    def test_those_in_memory_are_exact(self, make, run):
        cache = make()

        async def main() -> None:
            for number in range(50):
                await cache.set(f"k:{number}", number)
                for _ in range(number):
                    await cache.get(f"k:{number}")

        run(main())
        hot = cache.statistics().hot_keys
        assert [(each.key, each.hits, each.error) for each in hot] == [(f"k:{n}", n, 0) for n in range(49, 29, -1)]
        assert len(cache.statistics(hot_keys=3).hot_keys) == 3

    def test_one_that_comes_and_goes_is_the_sum_of_its_stays(self, make, run):
        cache = make()

        async def main() -> None:
            for _ in range(10):
                await cache.set("k:1", 1)
                for _ in range(5):
                    await cache.get("k:1")
                await cache.delete("k:1")
            await cache.set("k:1", 1)
            await cache.get("k:1")

        run(main())
        (hot,) = cache.statistics().hot_keys
        assert (hot.key, hot.hits) == ("k:1", 51)

    def test_without_memory_the_shared_tiers_answers_count(self, make, run, store):
        cache = make(StoreTier(store))

        async def main() -> None:
            async with cache:
                await cache.set("k:1", 1)
                for _ in range(3):
                    await cache.get("k:1")
                    await cache.get_or_set("k:1", Source())

        run(main())
        assert [(each.key, each.hits) for each in cache.statistics().hot_keys] == [("k:1", 6)]

    @given(st.lists(st.tuples(st.sampled_from(["get", "set", "other", "delete"]), st.integers(0, 12)), max_size=200))
    def test_no_hit_is_lost_or_counted_twice(self, steps):
        """Whatever entries come, go, and change hands between templates."""
        clock = FakeClock()
        cache = Cache(MemoryTier(max_entries=5), clock=clock)
        hits: Counter[str] = Counter()

        @cache.cached("k:{number}")
        async def other(number: int) -> int:
            return number

        async def main() -> None:
            for step, number in steps:
                key = f"k:{number}"
                there = key in cache.memory.nodes
                if step == "get":
                    hits[key] += await cache.get(key) is not None
                elif step == "set":
                    await cache.set(key, number)
                elif step == "delete":
                    await cache.delete(key)
                else:
                    await other(number)
                    hits[key] += there
                    await other.refresh(number)

        virtual_time.run(main(), clock=clock)
        statistics = cache.statistics()
        assert statistics.total.hits == hits.total()
        assert {each.key: each.hits for each in statistics.hot_keys} == {key: hits[key] for key in hits if hits[key]}


class TestComparing:
    """Values that were loaded again are compared, whatever they are."""

    @pytest.mark.parametrize(
        ("values", "unchanged"),
        [([1, 1], 1), ([1, 2], 0), ([1, 1.0], 0), ([[1], [1]], 1), ([[1], [2]], 0), ([[1], 1], 0), ([None, None], 1)],
    )
    def test_what_is_unchanged(self, make, run, values, unchanged):
        cache = make()

        async def main() -> None:
            for value in values:

                async def load(value=value):
                    return value

                await cache.get_or_set("k", load)
                await asyncio.sleep(61.0)

        run(main())
        assert cache.statistics().total.unchanged == unchanged
