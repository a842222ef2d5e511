"""What nobody should give and somebody will: a clear error to the writer, a miss to the reader, nothing lost."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from seawall.cache import (
    Cache,
    CacheRefused,
    Freshness,
    Load,
    MemoryTier,
    UnserializableError,
    ValueTooLargeError,
    shared,
)
from seawall.cache.record import VALUE, Record, decode
from seawall.core import OptionError
from seawall.testing import EventRecorder, StoreTier

KEYS = [" ", "a b\n", "x\0y", "{}{", "😀", "\ud800", "k" * 10_000, "*", "a:b:c", "~7B", "%41"]
ITSELF: list[Any] = []
ITSELF.append(ITSELF)


def deep(levels: int) -> Any:
    found: Any = ()
    for _ in range(levels):
        found = (found,)
    return found


@pytest.fixture(params=[False, True], ids=["memory", "store"])
def cache(request, store, clock) -> Cache:
    tiers = [MemoryTier(), StoreTier(store)] if request.param else [MemoryTier()]
    return Cache(*tiers, clock=clock, freshness=Freshness(jitter=0.0), max_value_bytes=1_000)


@pytest.fixture
def within(run, cache):
    def within(scene: Any) -> None:
        async def main() -> None:
            async with cache:
                await scene()

        run(main())

    return within


class TestKeys:
    def test_odd_ones_are_keys_like_others(self, within, cache):
        async def scene() -> None:
            for number, key in enumerate(KEYS):
                await cache.set(key, number, tags=[f"t:{number}"])
            assert await cache.get_many(KEYS) == {key: number for number, key in enumerate(KEYS)}
            cache.memory.clear()
            assert [await cache.get_or_set(key, lambda: -1) for key in KEYS] == (
                list(range(len(KEYS))) if cache.tier else [-1] * len(KEYS)
            )
            await cache.delete(*KEYS)
            assert await cache.get_many(KEYS) == {}

        within(scene)

    @pytest.mark.parametrize(
        ("key", "error"), [("", OptionError), (5, TypeError), (b"k", TypeError), (None, TypeError)]
    )
    def test_what_is_none_is_refused_everywhere(self, within, cache, key, error):
        async def scene() -> None:
            said = "at least one character" if error is OptionError else "a cache key is a string, got"
            for call in (
                lambda: cache.get(key),
                lambda: cache.set(key, 1),
                lambda: cache.get_or_set(key, lambda: 1),
                lambda: cache.delete(key),
                lambda: cache.delete("good", key),
                lambda: cache.get_many([key]),
                lambda: cache.set_many({key: 1}),
            ):
                with pytest.raises(error, match=said):
                    await call()  # type: ignore[no-untyped-call]

        within(scene)

    def test_nothing_impossible_gets_into_the_journal(self, run, store, clock):
        async def main() -> None:
            tier = StoreTier(store)
            async with Cache(MemoryTier(), tier, clock=clock) as cache:
                tier.cut()
                for call in (cache.delete(""), cache.invalidate(""), cache.invalidate(5)):  # type: ignore[arg-type]
                    with pytest.raises(OptionError):
                        await call
                assert len(cache.shared.journal) == 0

        run(main())

    def test_a_journal_that_can_not_be_replayed_does_not_keep_the_tier_away(self, run, store, clock):
        class Refusing(StoreTier):
            async def replay(self, changes: Any) -> None:
                if any(change.key == "poison" for change in changes):
                    raise ZeroDivisionError
                await super().replay(changes)

        async def main() -> None:
            tier = Refusing(store)
            async with Cache(MemoryTier(), tier, clock=clock) as cache:
                await cache.set("before", 1)
                tier.cut()
                await cache.delete("poison")
                tier.mend()
                await asyncio.sleep(1.0)
                assert cache.shared.available
                assert await cache.get("before") is None
                await cache.set("k", 1)
                assert store.record("k") is not None

        run(main())


class TestValues:
    @pytest.mark.parametrize(
        "value",
        [lambda: 1, object(), int, memoryview(b"x"), (each for each in "ab"), {1}, [{"a": {1}}], ITSELF, deep(100_000)],
        ids=["function", "object", "class", "memoryview", "generator", "set", "nested", "itself", "deep"],
    )
    def test_what_can_not_be_kept_is_refused_and_the_former_value_stays(self, within, cache, value):
        async def scene() -> None:
            await cache.set("k", "before")
            with pytest.raises(UnserializableError):
                await cache.set("k", value)
            with pytest.raises(UnserializableError):
                await cache.get_or_set("other", lambda: value)
            assert await cache.get("k") == "before"
            assert await cache.get_or_set("other", lambda: "good") == "good"

        within(scene)

    def test_one_that_is_too_large_is_refused_to_the_writer_and_given_to_the_reader(self, within, cache):
        recorder = EventRecorder(cache.events)

        async def scene() -> None:
            await cache.set("k", "before")
            with pytest.raises(ValueTooLargeError, match=r"'k' has 2[0-9]{3} bytes, the limit is 1000"):
                await cache.set("k", "x" * 2_000)
            assert await cache.get("k") == "before"
            for _ in range(2):
                assert await cache.get_or_set("large", lambda: "x" * 2_000) == "x" * 2_000
            assert await cache.get("large") is None

        within(scene)
        refused = [event for event in recorder.events if isinstance(event, CacheRefused)]
        assert len(refused) == 2
        assert "the limit is 1000" in refused[0].reason


class TestOptions:
    @pytest.mark.parametrize("ttl", [float("inf"), float("nan"), -1, "1", True])
    def test_impossible_times_to_live_are_refused(self, within, cache, ttl):
        def load(load: Load) -> int:
            load.ttl = ttl
            return 1

        async def scene() -> None:
            with pytest.raises(OptionError, match="ttl"):
                await cache.set("k", 1, ttl=ttl)
            with pytest.raises(OptionError, match="ttl"):
                await cache.get_or_set("k", lambda: 1, ttl=ttl)
            if ttl == -1:  # as of something that has expired: not kept
                assert await cache.get_or_set("k", load) == 1
            else:
                with pytest.raises(OptionError, match="ttl"):
                    await cache.get_or_set("k", load)
            assert await cache.get("k") is None

        within(scene)

    def test_a_huge_one_is_none_of_these(self, within, cache, clock):
        async def scene() -> None:
            for ttl in (1e12, 1e306):
                await cache.set("k", 1, ttl=ttl)
                assert await cache.get("k") == 1

        within(scene)

    @pytest.mark.parametrize("tags", ["tenant", [""], ["a\0b"], [5], [None], None, 7])
    def test_impossible_tags_are_refused(self, within, cache, tags):
        def load(load: Load) -> int:
            load.tags = tags
            return 1

        async def scene() -> None:
            if tags is not None:
                with pytest.raises(OptionError, match="tag"):
                    await cache.set("k", 1, tags=tags)
                with pytest.raises(OptionError, match="tag"):
                    await cache.get_or_set("k", lambda: 1, tags=tags)
                with pytest.raises(OptionError, match="tag"):
                    await cache.get_or_set("k", load)
            if isinstance(tags, list):
                with pytest.raises(OptionError, match="tag"):
                    await cache.invalidate(*tags)
            assert await cache.get("k") is None

        within(scene)

    def test_an_unknown_category_and_a_loader_that_is_none(self, within, cache):
        async def scene() -> None:
            with pytest.raises(OptionError, match="category is 'nope'"):
                await cache.get_or_set("k", lambda: 1, category="nope")
            for loader in (None, 5):
                with pytest.raises(TypeError):
                    await cache.get_or_set("k", loader)

        within(scene)


class TestRecords:
    def record(self, **fields: Any) -> Record:
        given = {
            "kind": VALUE, "version": 1_700_000_000_000_000, "stored": 1.0, "fresh_until": 2.0, "keep_until": 3.0,
            "fingerprint": b"12345678", "tags": (), "validator": None, "transforms": b"", "payload": b"\x01",
        }  # fmt: skip
        return Record(**{**given, **fields})

    @pytest.mark.parametrize("tags", [(), ("a b\n{}", "*", "😀", "\ud800"), tuple(f"tag:{n}" for n in range(10_000))])
    @pytest.mark.parametrize("validator", [None, "v" * 10_000, 'W/"é\ud800"'])
    def test_come_back_as_they_were(self, tags, validator):
        record = self.record(tags=tags, validator=validator)
        assert decode(record.encode()) == record

    def test_tags_that_are_many_or_odd_void_what_carries_them(self, within, cache):
        tags = [*(f"tag:{number}" for number in range(10_000)), " ", "a b\n{}", "😀", "\ud800", "t" * 10_000]

        async def scene() -> None:
            for tag in tags[-6:]:
                await cache.set("k", 1, tags=tags)
                cache.memory.clear()
                assert await cache.get("k") == (1 if cache.tier else None)
                await cache.invalidate(tag)
                assert await cache.get("k") is None

        within(scene)


class TestClocks:
    def test_a_jump_of_the_time_of_day_neither_raises_nor_keeps_for_ever(self, run, store, clock):
        async def main() -> None:
            freshness = Freshness(ttl=10.0, jitter=0.0)
            async with (
                Cache(MemoryTier(), StoreTier(store), clock=clock, freshness=freshness) as a,
                Cache(MemoryTier(), StoreTier(store), clock=clock, freshness=freshness) as b,
            ):
                for jump in (3_600.0, -7_200.0, 3_600.0):
                    await a.set("k", jump)
                    clock._start += timedelta(seconds=jump)
                    await asyncio.sleep(0.2)
                    assert await b.get("k") in {None, jump}
                    await a.set("k", "after")
                    await asyncio.sleep(0.01)
                    assert await b.get("k") == "after"
                    await asyncio.sleep(10.1)
                    assert [await a.get("k"), await b.get("k")] == [None, None]

        run(main())


class TestGrowth:
    def test_many_keys_leave_nothing_behind(self, run, clock, store, monkeypatch):
        monkeypatch.setattr(shared, "MOST_TAGS", 500)

        async def churn(cache: Cache, begin: int, count: int) -> None:
            for number in range(begin, begin + count):
                await cache.get_or_set(f"{number}:k", lambda: 1, tags=[f"t:{number}"])
                await cache.set(f"k:{number}", 1, tags=[f"t:{number}"])
                await cache.get(f"none:{number}")
                await cache.invalidate(f"t:{number}")
                await cache.delete(f"k:{number}")

        async def main() -> None:
            for tiers in ((MemoryTier(max_entries=100),), (MemoryTier(max_entries=100), StoreTier(store))):
                async with Cache(*tiers, clock=clock) as cache:
                    await churn(cache, 0, 2_000)
                    before = self.sizes(cache)
                    await churn(cache, 2_000, 2_000)
                    after = self.sizes(cache)
                    assert after == pytest.approx(before, rel=0.5, abs=1_100)
                    assert (cache.shared.flights, cache.shared.waiters, cache.shared._interests) == ({}, {}, {})

        run(main())

    def sizes(self, cache: Cache) -> dict[str, float]:
        memory = cache.memory
        held: dict[str, Any] = {
            "nodes": memory.nodes, "tags": memory._tags, "ghosts": memory._queues.ghosts, "meters": cache.meters,
            "heads": cache._heads, "invalidations": cache.shared._invalidations,
        }  # fmt: skip
        return {name: len(each) for name, each in held.items()}

    def test_forgetting_invalidations_does_not_let_an_older_load_in(self, run, clock, store, monkeypatch):
        monkeypatch.setattr(shared, "MOST_TAGS", 10)

        async def slow() -> str:
            await asyncio.sleep(1.0)
            return "old"

        async def main() -> None:
            for tiers in ((MemoryTier(),), (MemoryTier(), StoreTier(store))):
                async with Cache(*tiers, clock=clock) as cache:
                    load = asyncio.create_task(cache.get_or_set("k", slow, tags=["t"]))
                    await asyncio.sleep(0.5)
                    for number in range(50):
                        await cache.invalidate("t" if number == 0 else f"t:{number}")
                    assert await load == "old"
                    assert await cache.get("k") is None

        run(main())
