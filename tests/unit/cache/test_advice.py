"""What the cache advises: every rule where it applies, none where it does not."""

import asyncio
import json
import random

import pytest

from seawall.cache import Cache, Freshness, MemoryTier, Severity
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


def advice(cache: Cache) -> list[tuple[str, str]]:
    return [(each.code, each.subject) for each in cache.recommendations()]


def advised(cache: Cache, code: str):
    (found,) = [each for each in cache.recommendations() if each.code == code]
    return found


class TestAdvice:
    def test_a_quiet_or_healthy_cache_gets_none(self, make, run):
        cache, source = make(), Source(seconds=2.0)

        async def main() -> None:
            assert advice(cache) == []
            for number in range(30):
                await cache.get_or_set(f"quiet:{number}", source)
            for _ in range(1000):
                await cache.get_or_set("hot:1", source)
            await asyncio.sleep(1000.0)
            assert advice(cache) == []

        run(main())

    def test_reloaded_unchanged(self, make, run):
        cache = make(ttl=10.0)

        async def main() -> None:
            for _ in range(60):
                for _ in range(5):
                    await cache.get_or_set("charts:se", Source(["same"]))
                await asyncio.sleep(10.0)

        run(main())
        assert advice(cache) == [("ttl-too-short", "charts:*")]
        found = advised(cache, "ttl-too-short")
        assert found.severity is Severity.INFO
        assert found.figures == {
            "ttl": 10.0, "loads_per_minute": 6.0, "unchanged": 1.0, "expired": pytest.approx(59 / 60), "hit_ratio": 0.8,
        }  # fmt: skip
        assert found.message == (
            "'charts:*' lives 10 s and is loaded 6 times a minute; 100% of the reloads brought what was there before. "
            "Raise its ttl"
        )

    def test_reloaded_with_something_new_is_no_waste(self, make, run):
        cache, source = make(ttl=10.0), Source()

        async def main() -> None:
            for _ in range(60):
                for _ in range(5):
                    await cache.get_or_set("charts:se", source)
                await asyncio.sleep(10.0)

        run(main())
        assert advice(cache) == []

    def test_expired_before_it_is_asked_for_again(self, make, run):
        cache, source = make(ttl=10.0), Source()

        async def main() -> None:
            for _ in range(60):
                await cache.get_or_set("rates:eur", source)
                await asyncio.sleep(11.0)

        run(main())
        assert advice(cache) == [("ttl-too-short", "rates:*")]
        assert "0% of the requests are hits" in advised(cache, "ttl-too-short").message

    def test_keys_that_are_unique(self, make, run):
        cache, source = make(), Source()

        async def main() -> None:
            for number in range(150):
                await cache.get_or_set(f"search:{number}", source)
            assert advice(cache) == []  # they may still be read
            await asyncio.sleep(100.0)

        run(main())
        assert advice(cache) == [("never-hit", "search:*")]
        assert "answered from the cache 0 times" in advised(cache, "never-hit").message

    def test_what_is_asked_for_and_never_there(self, make, run):
        cache = make()

        async def main() -> None:
            for number in range(150):
                await cache.get(f"typo:{number}")

        run(main())
        assert "nothing has been stored under it" in advised(cache, "never-hit").message

    @pytest.mark.parametrize("shared", [False, True])
    def test_what_is_written_and_never_asked_for(self, make, run, store, shared):
        cache = make(MemoryTier(), StoreTier(store)) if shared else make()

        async def main() -> None:
            async with cache:
                for number in range(150):
                    await cache.set(f"log:{number}", number)
                await asyncio.sleep(100.0)
                assert advice(cache) == ([] if shared else [("never-hit", "log:*")])  # others may read it

        run(main())

    def test_values_too_large(self, make, run):
        cache = make()

        async def main() -> None:
            for _ in range(3):
                await cache.get_or_set("report:1", Source(["x" * 2000]))
            for _ in range(3):
                await cache.get_or_set("nearly:1", Source(["x" * 900]))

        run(main())
        assert advice(cache) == [("too-big", "report:*"), ("too-big", "nearly:*")]
        assert [each.severity for each in cache.recommendations()] == [Severity.WARNING, Severity.INFO]

    @pytest.mark.parametrize(
        ("options", "seconds", "helped"),
        [({}, 0.4, False), ({"eager": 0.5}, 0.4, True), ({"eager": 0.999}, 0.4, True), ({}, 0.05, True)],
    )
    def test_callers_who_wait_at_each_expiry(self, make, run, options, seconds, helped):
        cache, source = make(ttl=10.0, **options), Source(seconds=seconds)

        async def main() -> None:
            for _ in range(800):
                await cache.get_or_set("home:1", source)
                await asyncio.sleep(0.41)

        run(main())
        assert advice(cache) == ([] if helped else [("eager-refresh", "home:*")])
        if not helped:
            assert advised(cache, "eager-refresh").figures["p95"] == pytest.approx(0.4, rel=0.05)

    def test_crowds(self, make, run):
        cache, source = make(ttl=10.0), Source(seconds=1.0)

        async def main() -> None:
            for _ in range(25):
                await asyncio.gather(*(cache.get_or_set("home:1", source) for _ in range(40)))
                await asyncio.sleep(10.0)

        run(main())
        assert advice(cache) == [("stampede", "home:*")]
        assert advised(cache, "stampede").figures["waits_per_load"] == 39.0
        assert "Set stale_while_revalidate" in advised(cache, "stampede").message

    @pytest.mark.parametrize("fail_safe", [0.0, 1000.0])
    def test_loaders_that_fail(self, make, run, fail_safe):
        cache, source = make(ttl=1.0, fail_safe=fail_safe, fail_safe_for=0.0), Source("value")

        async def main() -> None:
            await cache.get_or_set("news:1", source)
            await asyncio.sleep(2.0)
            source.error = OSError()
            for _ in range(20):
                try:
                    await cache.get_or_set("news:1", source)
                except OSError:
                    assert not fail_safe

        run(main())
        found = advised(cache, "failing-loader")
        assert found.severity is Severity.WARNING
        assert ("20 times something stale stood in" if fail_safe else "Set fail_safe") in found.message

    def test_another_version_writes_the_same_keys(self, make, run, clock, store):
        writer = Cache(StoreTier(store), clock=clock)
        reader = make(MemoryTier(), StoreTier(store))

        async def main() -> None:
            async with writer, reader:
                for number in range(12):
                    await writer.set(f"user:{number}", ["list"], type=list[str])
                    assert await reader.get(f"user:{number}", type=dict[str, int]) is None

        run(main())
        assert advice(reader) == [("undecodable", "user:*")]

    def test_a_memory_that_is_too_small(self, make, run):
        chance = random.Random(1)
        keys = [f"k:{chance.randrange(120)}" for _ in range(3000)]

        async def main(cache: Cache) -> None:
            for key in keys:
                await cache.get_or_set(key, Source(1))

        small, large = make(max_entries=60), make(max_entries=200)
        run(main(small))
        run(main(large))
        assert advice(large) == []
        found = advised(small, "memory-too-small")
        assert (found.subject, found.category) == ("memory", "")
        assert found.figures["gain"] >= 0.05

    def test_it_is_json(self, make, run):
        cache = make()

        async def main() -> None:
            for number in range(150):
                await cache.get(f"typo:{number}")

        run(main())
        (found,) = json.loads(json.dumps([each.as_dict() for each in cache.recommendations()]))
        assert (found["severity"], found["code"], found["subject"]) == ("warning", "never-hit", "typo:*")
