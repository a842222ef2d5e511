"""Several caches share a store: what one changes, no other answers from memory."""

import asyncio

import pytest

from seawall.cache import Cache, Freshness, LoadFailedError, MemoryTier
from seawall.testing import StoreTier
from tests.unit.cache.conftest import TTL, Source, heard, line


class TestNews:
    def test_a_write_reaches_every_memory(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            await a.set("k", 1)
            assert await b.get("k") == 1
            await a.set("k", 2)
            await heard()
            assert b.get_nowait("k") is None
            assert await b.get("k") == 2
            assert a.get_nowait("k") == 2

        play(scene)

    def test_so_does_a_delete(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            await a.set("k", 1)
            await b.get("k")
            await a.delete("k")
            await heard()
            assert await b.get("k") is None

        play(scene)

    def test_and_a_tag_and_a_clear(self, play):
        async def scene(a: Cache, b: Cache) -> None:
            for number in range(6):
                await a.set(f"k:{number}", number, tags=[f"odd:{number % 2}", "all"])
            keys = [f"k:{number}" for number in range(6)]
            assert len(await b.get_many(keys)) == 6
            await a.invalidate("odd:1")
            await heard()
            assert await b.get_many(keys) == await a.get_many(keys) == {"k:0": 0, "k:2": 2, "k:4": 4}
            await b.set("k:1", 11, tags=["odd:1"])
            await b.clear()
            await heard()
            assert await b.get_many(keys) == await a.get_many(keys) == {}
            await a.set("k:1", 12, tags=["odd:1"])
            assert await b.get("k:1") == 12

        play(scene)

    def test_a_late_reader_honours_an_invalidation_it_never_heard(self, run, store, clock):
        async def main() -> None:
            async with Cache(StoreTier(store), clock=clock) as a:
                await a.set("k", 1, tags=["t"])
                await a.set("other", 1)
                await a.invalidate("t")
                async with Cache(MemoryTier(), StoreTier(store), clock=clock) as b:
                    assert await b.get("k") is None
                    await a.clear()
                async with Cache(MemoryTier(), StoreTier(store), clock=clock) as c:
                    assert await c.get("other") is None

        run(main())


class TestFillsLose:
    """What was loaded before a change must not be kept after it."""

    @pytest.mark.parametrize("change", ["delete", "invalidate", "clear", "set"])
    @pytest.mark.parametrize("by", ["itself", "another"])
    def test_against_a_change_made_while_they_load(self, play, change, by):
        source = Source("old", seconds=1.0)

        async def make(cache: Cache) -> None:
            if change == "delete":
                await cache.delete("k")
            elif change == "invalidate":
                await cache.invalidate("t")
            elif change == "clear":
                await cache.clear()
            else:
                await cache.set("k", "set")

        async def scene(a: Cache, b: Cache) -> None:
            load = asyncio.create_task(a.get_or_set("k", source, tags=["t"]))
            await asyncio.sleep(0.5)
            await make(a if by == "itself" else b)
            await heard()
            new = Source("new", seconds=0.1)
            assert await a.get_or_set("k", new, tags=["t"]) == ("set" if change == "set" else "new")
            assert await load == "old"
            await asyncio.sleep(1.0)
            expected = "set" if change == "set" else "new"
            assert [await cache.get("k") for cache in (a, b)] == [expected, expected]

        play(scene)

    @pytest.mark.parametrize("change", ["delete", "invalidate", "clear", "set"])
    def test_in_memory_alone(self, run, clock, change):
        source = Source("old", seconds=1.0)

        async def main() -> None:
            async with Cache(freshness=Freshness(ttl=TTL), clock=clock) as cache:
                load = asyncio.create_task(cache.get_or_set("k", source, tags=["t"]))
                await asyncio.sleep(0.5)
                args = {"delete": ("k",), "invalidate": ("t",), "clear": (), "set": ("k", "set")}[change]
                await getattr(cache, change)(*args)
                assert await load == "old"
                assert await cache.get("k") == ("set" if change == "set" else None)

        run(main())

    def test_when_the_line_was_broken_meanwhile(self, play, store):
        """A delete that was made and forgotten (the server lost everything) while the loader's line was cut."""
        source = Source("old", seconds=3.0)

        async def scene(a: Cache, b: Cache) -> None:
            load = asyncio.create_task(a.get_or_set("k", source))
            await asyncio.sleep(0.5)
            line(a).cut()
            await b.delete("k")
            store.wipe()
            await asyncio.sleep(0.5)
            line(a).mend()
            assert await load == "old"
            assert await a.get("k") is None
            assert await b.get("k") is None

        play(scene)


class TestReadsLose:
    @pytest.mark.parametrize("change", ["delete", "invalidate", "set"])
    def test_a_reply_that_was_overtaken_by_news_is_not_kept(self, play, change):
        async def scene(a: Cache, b: Cache) -> None:
            await b.set("k", "old", tags=["t"])
            line(a).reply_latency = 1.0
            read = asyncio.create_task(a.get("k"))
            await asyncio.sleep(0.5)
            args = {"delete": ("k",), "invalidate": ("t",), "set": ("k", "new")}[change]
            await getattr(b, change)(*args)
            await read
            line(a).reply_latency = 0.0
            assert a.get_nowait("k") is None
            assert await a.get("k") == ("new" if change == "set" else None)

        play(scene)

    def test_nor_by_a_change_of_its_own(self, play):
        async def scene(a: Cache) -> None:
            await a.set("k", "old")
            a.memory.clear()
            line(a).reply_latency = 1.0
            read = asyncio.create_task(a.get("k"))
            await asyncio.sleep(0.5)
            await a.delete("k")
            await read
            assert a.get_nowait("k") is None

        play(scene, count=1)


class TestSingleFlight:
    def test_callers_whose_question_was_under_way_find_what_another_has_loaded(self, play):
        source = Source()

        async def late(cache: Cache) -> object:
            await asyncio.sleep(0.5)
            return await cache.get_or_set("k", source)

        async def scene(a: Cache) -> None:
            line(a).latency = 1.0
            calls = [a.get_or_set("k", source), *(late(a) for _ in range(10))]
            assert set(await asyncio.gather(*calls)) == {1}
            assert source.loads == 1

        play(scene, count=1)

    def test_one_load_in_all_processes(self, play):
        source = Source(seconds=10.0)

        async def scene(*caches: Cache) -> None:
            calls = [cache.get_or_set("k", source) for cache in caches for _ in range(100)]
            assert set(await asyncio.gather(*calls)) == {1}
            assert source.loads == 1

        play(scene, count=4)

    def test_a_failure_is_shared_and_the_next_caller_tries_anew(self, play):
        source = Source(seconds=1.0)
        source.error = ValueError("no")

        async def scene(*caches: Cache) -> None:
            calls = [cache.get_or_set("k", source) for cache in caches for _ in range(10)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(result) for result in results].count(ValueError) == 10
            assert [type(result) for result in results].count(LoadFailedError) == 20
            assert source.loads == 1
            source.error = None
            assert await caches[2].get_or_set("k", source) == 2

        play(scene, count=3)

    def test_a_leader_whose_callers_leave_hands_over(self, play):
        source = Source(seconds=1.0)

        async def scene(a: Cache, b: Cache) -> None:
            leader = asyncio.create_task(a.get_or_set("k", source))
            await asyncio.sleep(0.5)
            follower = asyncio.create_task(b.get_or_set("k", source))
            await asyncio.sleep(0.1)
            leader.cancel()
            assert await follower == 2
            assert await a.get("k") == 2

        play(scene)

    def test_a_caller_who_leaves_harms_nobody(self, play):
        source = Source(seconds=1.0)

        async def scene(a: Cache, b: Cache) -> None:
            calls = [asyncio.create_task(cache.get_or_set("k", source)) for cache in (a, b) for _ in range(20)]
            await asyncio.sleep(0.5)
            for call in calls[1::2]:
                call.cancel()
            calls[0].cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [result for result in results if not isinstance(result, BaseException)] == [1] * 18 + [1]
            assert source.loads == 1

        play(scene)

    def test_the_load_ends_when_the_last_caller_has_left(self, play):
        ended = []

        async def load() -> None:
            try:
                await asyncio.sleep(100.0)
            finally:
                ended.append(asyncio.get_running_loop().time())

        async def scene(a: Cache) -> None:
            calls = [asyncio.create_task(a.get_or_set("k", load)) for _ in range(3)]
            await asyncio.sleep(1.0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await heard()
            assert ended == [1.0]
            assert await a.get_or_set("k", lambda: 5) == 5

        play(scene, count=1)

    def test_a_line_that_is_only_late_makes_no_second_load(self, play):
        source = Source(seconds=10.0)

        async def scene(a: Cache, b: Cache) -> None:
            first = asyncio.create_task(a.get_or_set("k", source))
            await asyncio.sleep(0.1)
            second = asyncio.create_task(b.get_or_set("k", source))
            for moment in (0.5, 2.0, 3.0):  # while it waits, and when it asks again
                await asyncio.sleep(moment)
                line(b).cut()
                await asyncio.sleep(0.3)
                line(b).mend(gapless=True)
            assert tuple(await asyncio.gather(first, second)) == (1, 1)
            assert source.loads == 1

        play(scene)

    def test_a_lease_whose_holder_died_is_taken_over(self, play, store, clock):
        source = Source()

        async def scene(a: Cache) -> None:
            store.leases["k"] = ("dead", clock.monotonic() + 3.0)
            assert await a.get_or_set("k", source) == 1
            assert clock.monotonic() == pytest.approx(3.0, abs=0.2)

        play(scene, count=1)
