"""The memory tier: what it holds, what it lets go, and hits that don't look at a clock."""

import asyncio
import threading
from collections import OrderedDict
from itertools import accumulate
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cache import Cache, Freshness, MemoryTier
from seawall.cache.memory import TICK
from seawall.cache.meter import Meter
from seawall.cache.s3fifo import S3Fifo
from seawall.core import OptionError

FRESHNESS = Freshness(ttl=100.0, jitter=0.0)


def put(memory: MemoryTier, key: str, value: Any = 1, version: int = 1, **options: Any) -> bool:
    given = {"stored": 0.0, "fresh_until": 1e12, "freshness": FRESHNESS, "meter": Meter("default", "k"), **options}
    return memory.put(key, value, version=version, **given)


class TestVersions:
    def test_what_is_older_than_what_is_there_is_refused(self):
        memory = MemoryTier()
        assert put(memory, "k", "new", version=2)
        assert not put(memory, "k", "old", version=1)
        assert memory.nodes["k"].value == "new"
        assert put(memory, "k", "again", version=2)

    def test_a_drop_takes_only_what_is_older(self):
        memory = MemoryTier()
        put(memory, "k", version=5)
        assert not memory.drop("k", 5)
        assert memory.drop("k", 6)
        assert not memory.drop("k")

    def test_a_tag_takes_what_is_not_newer(self):
        memory = MemoryTier()
        for version in range(1, 6):
            put(memory, f"k:{version}", version=version, tags=("t",))
        assert memory.drop_tag("t", 3) == 3
        assert sorted(memory.nodes) == ["k:4", "k:5"]
        put(memory, "k:4", version=9, tags=("other",))
        assert memory.drop_tag("t", 99) == 1
        assert sorted(memory.nodes) == ["k:4"]


class TestBounds:
    @given(st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.integers(0, 3_000)), max_size=300))
    def test_neither_is_ever_exceeded(self, steps):
        memory = MemoryTier(max_entries=20, max_bytes=20_000)
        for number, (key, delete, size) in enumerate(steps):
            if delete:
                memory.drop(f"k:{key}")
            else:
                put(memory, f"k:{key}", version=number, size=size)
            assert len(memory.nodes) <= 20
            assert sum(node.weight for node in memory) == memory.statistics().weight <= 20_000

    def test_what_is_larger_than_all_room_is_refused_and_the_old_value_is_gone(self):
        memory = MemoryTier(max_entries=10, max_bytes=2_000)
        assert put(memory, "k", version=1)
        assert not put(memory, "k", version=2, size=5_000)
        assert "k" not in memory.nodes
        assert memory.statistics().refused == 1

    def test_without_room_nothing_is_kept(self):
        memory = MemoryTier(max_entries=0)
        assert not put(memory, "k")
        assert len(memory.nodes) == 0

    def test_what_has_expired_goes_while_others_come(self, clock):
        memory = MemoryTier(clock=clock)
        for number in range(1_000):
            put(memory, f"old:{number}", fresh_until=10.0)
        put(memory, "kept", fresh_until=10.0, freshness=Freshness(fail_safe=100.0))
        clock.advance(20.0)
        for number in range(1_100):
            put(memory, f"new:{number}", fresh_until=100.0)
        assert not any(key.startswith("old") for key in memory.nodes)
        assert "kept" in memory.nodes
        assert memory.swept == 1_000

    @pytest.mark.parametrize("options", [{"max_entries": -1}, {"max_entries": 1.5}, {"max_bytes": 0}])
    def test_impossible_ones_are_refused(self, options):
        with pytest.raises(OptionError):
            MemoryTier(**options)

    def test_keys_that_come_and_go_leave_nothing_behind(self):
        memory = MemoryTier(max_entries=1_000)
        for number in range(20_000):
            put(memory, "k", version=number, tags=(f"t:{number}",))
            memory.drop("k")
        queues = memory._queues
        assert len(queues._small) + len(queues._main) < 200
        assert memory._tags == {}


class _Entry:
    def __init__(self, key: str) -> None:
        self.key = key
        self.weight = 1
        self.hits = 0.0
        self.seen = 0.0
        self.main = False
        self.gone = False


def s3fifo(requests: list[str], slots: int) -> float:
    queues, hits = S3Fifo(slots), 0
    held: dict[str, _Entry] = {}
    for key in requests:
        if (entry := held.get(key)) is not None:
            entry.hits += 1.0
            hits += 1
            continue
        held[key] = entry = _Entry(key)
        queues.admit(entry)
        for victim in queues.victims():
            del held[victim.key]
        assert len(held) <= slots
    return hits / len(requests)


def lru(requests: list[str], slots: int) -> float:
    held: OrderedDict[str, None] = OrderedDict()
    hits = 0
    for key in requests:
        if key in held:
            hits += 1
            held.move_to_end(key)
        else:
            held[key] = None
            if len(held) > slots:
                held.popitem(last=False)
    return hits / len(requests)


class TestWhatStays:
    def test_it_beats_lru_by_8_points_on_a_skewed_load(self):
        weights = list(accumulate(1 / rank for rank in range(1, 50_001)))
        requests = [f"k:{key}" for key in Random(1).choices(range(50_000), cum_weights=weights, k=150_000)]
        assert s3fifo(requests, 500) >= lru(requests, 500) + 0.08

    def test_a_scan_pushes_out_nothing_that_is_read_often(self):
        queues = S3Fifo(100)
        for number in range(50):
            entry = _Entry(f"hot:{number}")
            queues.admit(entry)
            entry.hits += 3
        for number in range(10_000):
            queues.admit(_Entry(f"scan:{number}"))
            assert not any(victim.key.startswith("hot") for victim in queues.victims())


class TestFastHits:
    """On a real loop: whatever is found without a clock is still right."""

    def test_an_entry_is_found_fast_only_until_the_next_tick(self):
        async def main() -> None:
            async with Cache() as cache:
                await cache.set("k", 1, ttl=100.0)
                assert await cache.get("k") == 1
                assert "k" in cache.memory.fast
                await asyncio.sleep(TICK + 0.05)
                assert "k" not in cache.memory.fast
                assert await cache.get("k") == 1

        asyncio.run(main())

    def test_one_that_might_expire_before_is_compared_with_the_clock(self):
        async def main() -> None:
            async with Cache(freshness=Freshness(ttl=TICK / 4, jitter=0.0)) as cache:
                await cache.set("k", 1)
                assert await cache.get("k") == 1
                assert "k" not in cache.memory.fast
                await asyncio.sleep(TICK / 4 + 0.02)
                assert await cache.get("k") is None

        asyncio.run(main())

    @pytest.mark.parametrize("change", ["delete", "invalidate", "clear", "set", "distrust"])
    def test_a_change_takes_it_out_at_once_under_every_alias(self, change):
        async def main() -> None:
            async with Cache() as cache:
                calls = 0

                @cache.cached("k:{number}", tags=["t"])
                async def function(number: int) -> int:
                    nonlocal calls
                    calls += 1
                    return calls

                assert [await function(1) for _ in range(4)] == [1] * 4
                assert await function(number=1) == 1
                assert [len(aliases) for aliases in cache.memory._aliases] == [1]
                if change == "distrust":
                    cache.memory.distrust()
                else:
                    args = {"delete": ("k:1",), "invalidate": ("t",), "clear": (), "set": ("k:1", 9)}[change]
                    await getattr(cache, change)(*args)
                assert cache.memory.fast == {}
                assert cache.memory._aliases == [{}]
                assert await function(1) == {"set": 9, "distrust": 1}.get(change, 2)

        asyncio.run(main())

    def test_a_loop_that_ends_empties_it(self):
        cache = Cache()

        async def use() -> None:
            await cache.set("k", 1)
            await cache.get("k")
            assert "k" in cache.memory.fast

        asyncio.run(use())
        assert cache.memory.fast == {}
        asyncio.run(use())

    def test_hits_are_counted_exactly(self):
        async def main() -> None:
            async with Cache() as cache:
                await cache.set("k", 1)
                for _ in range(1_000):
                    await cache.get("k")
                    cache.get_nowait("k")
                assert cache.memory.nodes["k"].hits == 2_000

        asyncio.run(main())

    def test_threads_may_read_and_write_at_once(self):
        cache = Cache(MemoryTier(max_entries=50))
        errors: list[BaseException] = []

        def use(seed: int) -> None:
            chance = Random(seed)
            try:
                for number in range(3_000):
                    key = f"k:{chance.randrange(100)}"
                    if chance.random() < 0.3:
                        put(cache.memory, key, key, version=number)
                    elif chance.random() < 0.1:
                        cache.memory.drop(key)
                    else:
                        assert cache.get_nowait(key) in {None, key}
            except BaseException as error:
                errors.append(error)
                raise

        threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert len(cache.memory.nodes) <= 50
