"""Flights: whoever is cancelled, fails, or asks for what it is loading, harms nobody and leaves nothing behind."""

import asyncio
import gc
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from seawall.cache import Cache, Freshness, LoadFailedError, MemoryTier
from seawall.core import deadline
from seawall.testing import StoreTier
from tests.unit.cache.conftest import Source

LEASE = 3.0


@pytest.fixture
def caches(run, store, clock) -> Callable[..., Any]:
    """Runs a scene with caches that share a store, and looks whether anything is left behind."""

    def play(scene: Callable[..., Awaitable[None]], count: int = 2, latency: float = 0.0, **options: Any) -> None:
        complaints: list[dict[str, Any]] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            async with AsyncExitStack() as stack:
                caches = []
                for _ in range(count):
                    tier = StoreTier(store)
                    tier.latency = latency
                    freshness = Freshness(**{"ttl": 100.0, "jitter": 0.0, **options})
                    cache = Cache(MemoryTier(), tier, freshness=freshness, clock=clock)
                    caches.append(await stack.enter_async_context(cache))
                await scene(*caches)
                await asyncio.sleep(1.0)
                for cache in caches:
                    assert (cache.shared.flights, cache.shared.waiters, cache.shared._interests) == ({}, {}, {})
                assert not [key for key, (_, until) in store.leases.items() if until > clock.monotonic()]
            assert len(asyncio.all_tasks()) == 1
            gc.collect()

        run(main())
        assert complaints == []

    return play


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("latency", [0.0, 0.1])
@pytest.mark.parametrize("what", ["get_or_set", "get", "set", "delete", "invalidate", "refresh"])
def test_a_caller_cancelled_at_any_step_leaves_nothing_and_later_calls_work(caches, clock, what, latency):
    async def scene(a: Cache, b: Cache) -> None:
        @a.cached("k:{number}", tags=["t"])
        async def loaded(number: int) -> str:
            await steps(3)
            return "loaded"

        calls: dict[str, Callable[[str], Awaitable[Any]]] = {
            "get_or_set": lambda key: a.get_or_set(key, lambda: "loaded", tags=["t"]),
            "get": lambda key: a.get(key),
            "set": lambda key: a.set(key, "set", tags=["t"]),
            "delete": lambda key: a.delete(key),
            "invalidate": lambda key: a.invalidate("t"),
            "refresh": lambda key: loaded.refresh(int(key.partition(":")[2])),
        }
        for count in range(50):
            key = f"k:{count}"
            await b.set(key, "before", tags=["t"], ttl=0.001 if what == "get_or_set" else None)
            if what == "get_or_set":
                await asyncio.sleep(0.01)
            call = asyncio.ensure_future(calls[what](key))
            await (asyncio.sleep(count * 0.013) if latency else steps(count))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            began = clock.monotonic()
            await b.set(key, "after", tags=["t"])
            await steps(10)
            assert await a.get_or_set(key, lambda: "loaded again", tags=["t"]) == "after"
            await b.delete(key)
            await steps(10)
            assert await a.get_or_set(key, lambda: "loaded last", tags=["t"]) == "loaded last"
            assert await b.get(key) == "loaded last"
            assert clock.monotonic() - began < LEASE / 2, f"cancelled after {count} steps"

    caches(scene, latency=latency)


@pytest.mark.parametrize("latency", [0.0, 0.1])
def test_after_a_cancelled_load_the_next_caller_need_not_wait_for_a_lease(caches, clock, latency):
    async def scene(a: Cache, b: Cache) -> None:
        for count in range(50):
            key = f"k:{count}"
            call = asyncio.ensure_future(a.get_or_set(key, Source(seconds=0.05)))
            await (asyncio.sleep(count * 0.013) if latency else steps(count))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            began = clock.monotonic()
            assert await b.get_or_set(key, Source("b")) in {1, "b"}
            assert clock.monotonic() - began < LEASE / 2, f"cancelled after {count} steps"

    caches(scene, latency=latency)


def test_a_lease_granted_to_a_caller_who_had_left_is_given_back(caches, store, clock):
    """The server granted it, and the answer was on its way."""

    class Late(StoreTier):
        async def acquire(self, *args: Any, **options: Any) -> Any:
            lease = await super().acquire(*args, **options)
            await asyncio.sleep(0.5)
            return lease

    async def scene(b: Cache) -> None:
        async with Cache(MemoryTier(), Late(store), clock=clock) as a:
            call = asyncio.ensure_future(a.get_or_set("k", Source()))
            await asyncio.sleep(0.25)
            call.cancel()
            await steps(5)
            began = clock.monotonic()
            assert await b.get_or_set("k", Source("b")) == "b"
            assert clock.monotonic() - began < LEASE / 2

    caches(scene, count=1)


def test_a_loader_that_ignores_its_cancellation_does_not_bring_back_what_was_deleted(run, clock):
    async def stubborn() -> str:
        try:
            await asyncio.sleep(10.0)
        except asyncio.CancelledError:
            await asyncio.sleep(1.0)
        return "old"

    async def main() -> None:
        async with Cache(clock=clock) as cache:
            call = asyncio.ensure_future(cache.get_or_set("k", stubborn))
            await asyncio.sleep(0.5)
            call.cancel()
            await steps(5)
            await cache.delete("k")
            await asyncio.sleep(2.0)
            assert await cache.get("k") is None
            assert await cache.get_or_set("k", lambda: "new") == "new"

    run(main())


@pytest.mark.parametrize("error", [ValueError, TimeoutError, StopIteration, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("coroutine", [True, False])
def test_whatever_a_loader_raises_reaches_its_callers_and_is_not_kept(caches, error, coroutine):
    async def waits() -> None:
        await asyncio.sleep(0.5)
        raise error

    def raises() -> None:
        raise error

    async def scene(a: Cache, b: Cache) -> None:
        calls = [cache.get_or_set("k", waits if coroutine else raises) for cache in (a, a, b)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        expected = {StopIteration: RuntimeError, asyncio.CancelledError: LoadFailedError}.get(error, error)
        assert {type(each) for each in found} <= {expected, LoadFailedError}
        assert [await cache.get_or_set("k", lambda: 1) for cache in (a, b)] == [1, 1]

    caches(scene)


def test_an_error_shared_by_a_thousand_callers_does_not_grow(caches):
    async def fails() -> None:
        await asyncio.sleep(0.5)
        raise ValueError

    async def scene(a: Cache) -> None:
        lengths = []

        async def ask() -> None:
            try:
                await a.get_or_set("k", fails)
            except ValueError as error:
                lengths.append(len(traceback.extract_tb(error.__traceback__)))

        await asyncio.gather(*(ask() for _ in range(1_000)))
        assert len(lengths) == 1_000
        assert max(lengths) < 20

    caches(scene, count=1)


class TestAnErrorThatIsAnAnswer:
    def fails(self) -> None:
        raise KeyError("nobody")

    def test_stays_one_also_where_it_is_found_without_a_clock(self):
        """On a real loop: only there entries are found fast."""

        async def main() -> None:
            async with Cache(freshness=Freshness(negative_errors=(KeyError,))) as cache:
                decorated = cache.cached("f:{number}")(lambda number: self.fails())

                @cache.cached("g:{number}")
                async def awaited(number: int) -> None:
                    self.fails()

                for _ in range(5):
                    with pytest.raises(KeyError, match="nobody"):
                        await cache.get_or_set("k", self.fails)
                    with pytest.raises(KeyError, match="nobody"):
                        await cache.get("k")
                    with pytest.raises(KeyError, match="nobody"):
                        cache.get_nowait("k")
                    with pytest.raises(KeyError, match="nobody"):
                        decorated(1)
                    with pytest.raises(KeyError, match="nobody"):
                        await awaited(1)

        asyncio.run(main())

    def test_does_not_carry_one_callers_notes_to_another(self, run, clock):
        async def main() -> None:
            freshness = Freshness(negative_errors=(KeyError,))
            async with Cache(freshness=freshness, clock=clock) as cache:
                for number in range(3):
                    with pytest.raises(KeyError, match="nobody") as caught:
                        await cache.get_or_set("k", self.fails)
                    assert getattr(caught.value, "__notes__", []) == []
                    caught.value.add_note(f"for caller {number}")
                    caught.value.args = ("changed",)

        run(main())


class TestLoadsThatNeedEachOther:
    def test_a_loader_that_waits_for_its_own_result_is_told(self, caches):
        async def scene(a: Cache) -> None:
            async def load() -> Any:
                return await a.get_or_set("k", load)

            with pytest.raises(RecursionError, match="'k'"):
                await a.get_or_set("k", load)
            assert await a.get_or_set("k", lambda: 1) == 1

        caches(scene, count=1)

    def test_two_that_wait_for_each_other_are_told(self, caches):
        async def scene(a: Cache) -> None:
            async def first() -> Any:
                await asyncio.sleep(1.0)
                return await a.get_or_set("second", second)

            async def second() -> Any:
                await asyncio.sleep(1.0)
                return await a.get_or_set("first", first)

            calls = (a.get_or_set("first", first), a.get_or_set("second", second))
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(each) for each in found] == [RecursionError, RecursionError]

        caches(scene, count=1)

    def test_a_refresh_of_oneself_is_told(self, caches):
        async def scene(a: Cache) -> None:
            @a.cached("k:{number}")
            async def function(number: int) -> Any:
                return await function.refresh(number)

            with pytest.raises(RecursionError, match="'k:1'"):
                await function(1)

        caches(scene, count=1)

    def test_others_get_what_they_need(self, caches):
        async def scene(a: Cache) -> None:
            @a.cached("fib:{number}")
            async def fib(number: int) -> int:
                await asyncio.sleep(0.1)
                return number if number < 2 else sum(await asyncio.gather(fib(number - 1), fib(number - 2)))

            assert tuple(await asyncio.gather(fib(30), fib(20))) == (832_040, 6_765)

        caches(scene, count=1)

    def test_what_a_loader_leaves_behind_may_ask_for_its_result(self, caches):
        async def scene(a: Cache) -> None:
            left: list[asyncio.Task[Any]] = []

            async def later() -> Any:
                await asyncio.sleep(10.0)
                await a.delete("k")
                return await a.get_or_set("k", lambda: "again")

            async def load() -> str:
                left.append(asyncio.create_task(later()))
                return "first"

            assert await a.get_or_set("k", load) == "first"
            assert await left[0] == "again"

        caches(scene, count=1)

    @pytest.mark.parametrize("change", ["delete", "invalidate", "set"])
    def test_a_loader_that_changes_its_own_key_loses(self, caches, change):
        async def scene(a: Cache, b: Cache) -> None:
            async def load() -> str:
                args = {"delete": ("k",), "invalidate": ("t",), "set": ("k", "set")}[change]
                await getattr(a, change)(*args)
                return "loaded"

            assert await a.get_or_set("k", load, tags=["t"]) == "loaded"
            await steps(5)
            expected = "set" if change == "set" else None
            assert [await cache.get("k") for cache in (a, b)] == [expected, expected]

        caches(scene)


class TestDeadlines:
    def test_what_is_stale_is_given_when_the_time_is_over(self, caches, clock):
        async def scene(a: Cache) -> None:
            source = Source()
            await a.get_or_set("k", source)
            await asyncio.sleep(150.0)
            source.seconds = 60.0
            began = clock.monotonic()
            with deadline.within(0.5, clock=clock):
                assert await a.get_or_set("k", source) == 1
            assert clock.monotonic() - began == pytest.approx(0.5, abs=0.01)

        caches(scene, count=1, fail_safe=1_000.0)

    def test_a_deadline_that_has_passed_still_gets_what_is_there(self, caches, clock):
        async def scene(a: Cache) -> None:
            await a.set("k", 1)
            with deadline.within(0.0, clock=clock):
                assert await a.get_or_set("k", Source()) == 1
                with pytest.raises(TimeoutError):
                    await a.get_or_set("other", Source(seconds=1.0))

        caches(scene, count=1)


def test_a_change_heard_after_some_tag_was_invalidated_keeps_a_load_out_all_the_same(caches):
    """Whatever the tag: a load may carry it, so nobody joins it any more, but news of its key still counts."""

    async def scene(a: Cache, b: Cache) -> None:
        loading, go = asyncio.Event(), asyncio.Event()
        fill = a.tier.fill  # type: ignore[union-attr]

        async def fill_and_hear(*args: Any, **options: Any) -> bool:
            stored = await fill(*args, **options)
            await b.set("k", "new")
            await steps(5)  # its news arrives together with the answer
            return stored

        async def load() -> str:
            loading.set()
            await go.wait()
            return "old"

        a.tier.fill = fill_and_hear  # type: ignore[union-attr, method-assign]
        asked = asyncio.ensure_future(a.get_or_set("k", load))
        await loading.wait()
        await b.invalidate("another")
        await steps(5)
        go.set()
        assert await asked == "old"
        assert await a.get("k") == "new"

    caches(scene)
