"""A line that breaks hides nothing, and keeps nobody waiting."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from seawall.cache import Cache, MemoryTier
from seawall.cache.journal import Recent
from seawall.cache.tier import Held
from seawall.testing import FaultyTier, Reset, Store, StoreTier
from tests.unit.cache.conftest import Source, heard, line


async def forgotten(store: Store, a: Cache, b: Cache) -> None:
    """The server loses everything; `a`, which has an older `k`, is back before `b`, which deleted it."""
    line(b).cut()
    store.wipe()
    line(a).mend()
    await asyncio.sleep(0.01)
    line(b).mend()
    await asyncio.sleep(0.01)
    assert [await cache.get("k") for cache in (a, b)] == [None, None]


class TestOutage:
    def test_memory_serves_what_it_has_and_loads_what_it_has_not(self, play):
        source = Source()

        async def scene(a: Cache, b: Cache) -> None:
            await a.set("there", "value")
            line(a).cut()
            assert await a.get("there") == "value"
            assert await a.get_or_set("new", source) == 1
            assert await a.get_or_set("new", source) == 1
            await a.set("written", 5)
            assert await a.get("written") == 5
            await a.delete("there")
            assert await a.get("there") is None

        play(scene)

    def test_writes_made_meanwhile_are_told_when_it_is_back(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            await a.set("gone", 1, tags=["t"])
            await a.set("dead", 1)
            await b.get_many(["gone", "dead"])
            line(a).cut()
            await a.set("k", "new")
            await a.invalidate("t")
            await a.delete("dead")
            assert await b.get("gone") == 1
            line(a).mend()
            await asyncio.sleep(0.01)
            assert [await cache.get("k") for cache in (a, b)] == ["new", "new"]
            assert [await cache.get("gone") for cache in (a, b)] == [None, None]
            assert [await cache.get("dead") for cache in (a, b)] == [None, None]

        play(scene)

    @pytest.mark.parametrize("first", [0, 1])
    def test_the_last_of_two_writes_wins_whoever_is_back_first(self, play, first):
        async def scene(*caches: Cache) -> None:
            for cache in caches:
                line(cache).cut()
            await caches[0].set("k", "earlier")
            await asyncio.sleep(0.5)
            await caches[1].set("k", "later")
            for number in (first, 1 - first):
                line(caches[number]).mend()
                await asyncio.sleep(0.01)
            assert [await cache.get("k") for cache in caches] == ["later", "later"]

        play(scene)

    def test_a_write_made_online_later_wins_against_one_in_the_journal(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            line(a).cut()
            await a.set("k", "earlier")
            await asyncio.sleep(1.0)
            await b.delete("k")
            line(a).mend()
            await asyncio.sleep(0.01)
            assert [await cache.get("k") for cache in (a, b)] == [None, None]

        play(scene)

    def test_even_if_the_server_has_forgotten_it(self, play, store):
        async def scene(a: Cache, b: Cache) -> None:
            line(a).cut()
            await a.set("k", "earlier")
            await asyncio.sleep(1.0)
            await b.delete("k")
            await forgotten(store, a, b)

        play(scene)

    def test_even_if_it_was_told_late_and_the_server_has_forgotten_it(self, play, store):
        async def scene(a: Cache, b: Cache) -> None:
            line(a).cut()
            line(b).cut()
            await a.set("k", "earlier")
            await asyncio.sleep(1.0)
            await b.delete("k")
            line(b).mend()
            await asyncio.sleep(0.01)
            await forgotten(store, a, b)

        play(scene)

    def test_even_if_it_has_forgotten_more_than_is_remembered_here(self, play, store):
        async def scene(a: Cache, b: Cache) -> None:
            line(a).cut()
            await a.set("k", "earlier")
            await asyncio.sleep(1.0)
            await b.delete("k")
            for number in range(Recent.MOST):
                await b.delete(f"k:{number}")
            await forgotten(store, a, b)

        play(scene)

    def test_nothing_heard_of_is_trusted_after_a_gap(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            await a.set("k", 1)
            await b.get("k")
            line(b).cut()
            await a.set("k", 2)
            line(b).mend()
            assert await b.get("k") == 2

        play(scene)

    def test_without_a_gap_memory_is_as_good_as_before(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            await a.set("k", 1)
            await b.get("k")
            calls = line(b).calls
            line(b).cut()
            line(b).mend(gapless=True)
            assert await b.get("k") == 1
            assert line(b).calls == calls

        play(scene)

    def test_more_than_the_journal_holds_voids_everything(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            await b.set("untouched", 1)
            line(a).cut()
            for number in range(a.shared.journal.limit + 1):
                await a.set(f"k:{number}", number)
            line(a).mend()
            await asyncio.sleep(0.01)
            assert await b.get("untouched") is None

        play(scene)

    def test_stale_answers_meanwhile_are_refreshed_behind(self, play):
        source = Source()

        async def scene(a: Cache, b: Cache) -> None:
            assert await a.get_or_set("k", source) == 1
            line(a).cut()
            assert await a.get_or_set("k", source) == 1
            await heard()
            assert await a.get_or_set("k", source) == 2

        play(scene)

    def test_a_line_cut_as_the_journal_was_replayed_is_not_back(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            await a.set("k", 1)
            tier = line(a)
            tier.cut()
            await a.set("k", 2)
            replay = tier.replay

            async def replay_and_cut(changes: Any) -> None:
                await replay(changes)
                asyncio.get_running_loop().call_soon(tier.cut)  # before whoever waits for the answer goes on
                await asyncio.sleep(0)

            tier.replay = replay_and_cut  # type: ignore[method-assign]
            tier.mend()
            await heard()
            assert not tier.available
            assert not a.shared.available
            tier.replay = replay  # type: ignore[method-assign]
            tier.mend()
            await heard()
            assert a.shared.available
            assert await b.get("k") == 2

        play(scene)

    def test_a_tier_that_refuses_what_it_seems_to_be_there_for_keeps_nobody_waiting(self, run, store, clock):
        """Somebody else loads, and then every question fails, without the tier ever being said to be away."""
        failing = FaultyTier(StoreTier(store), Reset(), only=["acquire"])
        asked = 0

        async def acquire(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            asked += 1
            assert asked < 100
            return Held(0.1) if asked == 1 else await failing.acquire(*args, **kwargs)

        async def main() -> None:
            tier = StoreTier(store)
            tier.acquire = acquire  # type: ignore[method-assign]
            async with Cache(MemoryTier(), tier, clock=clock) as cache:
                assert await cache.get_or_set("k", lambda: 1) == 1
                assert cache.shared.available
            assert asked == 3

        run(main())


class TestFaults:
    @pytest.mark.parametrize("after", [False, True])
    def test_no_error_of_the_tier_reaches_a_caller_and_all_agree_in_the_end(self, run, clock, after):
        """Every call fails with a chance of a third, before or after it was made."""
        store = Store(clock=clock)
        truth = {f"k:{number}": 0 for number in range(20)}

        async def main() -> None:
            tiers = [FaultyTier(StoreTier(store), Reset(), rate=0.33, seed=number, after=after) for number in range(3)]
            caches = [Cache(MemoryTier(), tier, clock=clock) for tier in tiers]
            async with AsyncExitStack() as stack:
                for cache in caches:
                    await stack.enter_async_context(cache)
                for number in range(600):
                    cache, key = caches[number % 3], f"k:{number % 20}"
                    assert await cache.get_or_set(key, lambda key=key: truth[key]) is not None
                    if number % 4 == 0:
                        truth[key] += 1
                        await (cache.delete(key) if number % 8 else cache.set(key, truth[key]))
                    await asyncio.sleep(0.01)
                for tier in tiers:
                    tier.enabled = False
                await asyncio.sleep(2.0)
                for cache in caches:
                    assert cache.shared.available
                    found = {key: await cache.get_or_set(key, lambda key=key: truth[key]) for key in truth}
                    assert found == truth

        run(main())
