"""`@cache.cached`: every kind of function and argument."""

import asyncio
import dataclasses
import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from seawall.cache import (
    MISSING,
    Cache,
    Freshness,
    UnserializableError,
    UnstableKeyError,
    loading,
)
from seawall.core import OptionError
from tests.unit.cache.conftest import twice


class TestSignatures:
    def test_it_is_the_functions(self):
        cache = Cache()

        async def function(a: int, /, b: str = "b", *args: int, c: bytes, d: float = 0.5, **kwargs: str) -> list[int]:
            """What it does."""
            return []

        cached = cache.cached()(function)
        assert inspect.signature(cached) == inspect.signature(function)
        assert inspect.iscoroutinefunction(cached)
        assert (cached.__name__, cached.__doc__) == ("function", "What it does.")
        assert cached.__wrapped__ is function

    @pytest.mark.parametrize("blocking", [False, True])
    def test_the_function_may_say_how_its_result_is_kept(self, run, clock, blocking):
        async def main() -> None:
            cache = Cache(freshness=Freshness(jitter=0.0), clock=clock)
            stale = []

            def load(number: int) -> int:
                stale.append((loading().stale, loading().validator))
                loading().ttl = 5.0
                loading().tags = ("t",)
                loading().validator = "v"
                return number

            async def later(number: int) -> int:
                return load(number)

            cached: Any = cache.cached("k:{number}")(load if blocking else later)

            async def ask() -> Any:
                return cached(1) if blocking else await cached(1)

            assert [await ask(), await ask()] == [1, 1]
            await asyncio.sleep(5.0)
            assert await ask() == 1
            assert stale == [(MISSING, None), (1, "v")]
            await cache.invalidate("t")
            assert await ask() == 1
            assert len(stale) == 3

        run(main())

    def test_arguments_in_every_form_find_the_same_entry(self):
        async def scene(cache: Cache) -> None:
            calls = []

            @cache.cached("k:{a}:{b}:{args}:{c}:{kwargs}")
            async def function(a: int, b: str = "b", *args: int, c: float = 0.5, **kwargs: Any) -> str:
                calls.append(a)
                return f"{a}{b}{args}{c}{kwargs}"

            for _ in range(3):
                assert await function(1) == "1b()0.5{}"
                assert await function(a=1, b="b", c=0.5) == "1b()0.5{}"
                assert await function(1, "b", 2, 3, c=1.5, d=4) == "1b(2, 3)1.5{'d': 4}"
                assert await function(1, "b", 2, 3, d=4, c=1.5) == "1b(2, 3)1.5{'d': 4}"
            with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
                await function()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

            if cache.memory.max_entries:
                assert calls == [1, 1]

        twice(scene)

    def test_names_that_the_wrapper_might_use_itself(self):
        async def scene(cache: Cache) -> None:
            @cache.cached("k:{node}:{cache}:{cached}:{self}:{key}:{args}:{kwargs}")
            async def function(node: int, cache: int, cached: int, self: int, key: int, args: int, kwargs: int) -> int:
                return node * 100 + kwargs

            for _ in range(3):
                assert await function(1, 2, 3, 4, 5, 6, 7) == 107
                assert await function(8, 2, 3, 4, 5, 6, 9) == 809

        twice(scene)

    @pytest.mark.parametrize("name", ["_seawall_fast", "_seawall_answer", "_seawall_text"])
    def test_names_that_it_does_use_are_refused(self, name):
        scope: dict[str, Any] = {}
        exec(f"def function({name}): return {name}", scope)
        with pytest.raises(OptionError, match=name):
            Cache().cached()(scope["function"])

    def test_a_default_that_can_change_is_part_of_the_key(self):
        async def scene(cache: Cache) -> None:
            given: list[int] = []

            @cache.cached("k:{items}")
            async def function(items: list[int] = given) -> int:
                return len(items)

            assert await function() == 0
            given.append(1)
            assert await function() == 1

        twice(scene)

    @pytest.mark.parametrize("tags", ["tenant:{number}", ("a", ""), ("a\0b",)])
    def test_impossible_tags_are_refused_at_once(self, tags):
        with pytest.raises(OptionError):
            Cache().cached("k:{number}", tags=tags)(lambda number: number)

    @pytest.mark.parametrize("ttl", [-1, float("nan"), float("inf"), "300"])
    def test_so_is_an_impossible_ttl(self, ttl):
        with pytest.raises(OptionError):
            Cache().cached("k:{number}", ttl=ttl)(lambda number: number)


class TestKinds:
    def test_generators_are_refused(self):
        async def later(number: int) -> AsyncIterator[int]:
            yield number

        def now(number: int) -> Iterator[int]:
            yield number

        for function in (later, now):
            with pytest.raises(OptionError, match="generator"):
                Cache().cached("k:{number}")(function)

    @pytest.mark.parametrize("kind", [classmethod, staticmethod])
    def test_a_descriptor_is_refused_with_the_order_that_works(self, kind):
        with pytest.raises(OptionError, match=f"@{kind.__name__}"):
            Cache().cached("k:{number}")(kind(lambda number: number))

    def test_a_function_that_returns_an_awaitable_is_awaited_or_refused_never_lost(self):
        async def load(number: int) -> int:
            return number

        @functools.wraps(load)
        def wrapped(number: int) -> Any:
            return load(number)

        async def scene(cache: Cache) -> None:
            cached = cache.cached("k:{number}")(wrapped)
            with pytest.raises((UnserializableError, OptionError), match="make it one"):
                cached(1)
            with pytest.raises((UnserializableError, OptionError), match="make it one"):
                await asyncio.to_thread(cached, 1)

        twice(scene)

    def test_a_partial_function_is_refused(self):
        """Its name would say nothing of what is bound."""
        with pytest.raises(OptionError, match="partial"):
            Cache().cached("k:{number}")(functools.partial(lambda number, factor: number * factor, factor=3))


class TestArguments:
    def test_equal_numbers_are_one_argument(self):
        async def scene(cache: Cache) -> None:
            @cache.cached("k:{number}")
            async def function(number: float) -> int:
                return int(number) + 1

            for number in (1, 1.0, True, 1, True, 1.0):
                assert await function(number) == 2

        twice(scene)

    def test_one_that_changes_is_another(self):
        class Query:
            """Hashed by identity, as objects are, with a key of its own."""

            def __init__(self, text: str) -> None:
                self.text = text

            def __cache_key__(self) -> str:
                return self.text

        async def scene(cache: Cache) -> None:
            @cache.cached("k:{query}")
            async def function(query: Query) -> str:
                return f"results for {query.text}"

            query = Query("one")
            for _ in range(4):
                assert await function(query) == "results for one"
            query.text = "two"
            for _ in range(4):
                assert await function(query) == "results for two"

        twice(scene)

    def test_one_without_a_hash_or_an_identity(self):
        async def scene(cache: Cache) -> None:
            @cache.cached("k:{items}")
            async def function(items: object) -> str:
                return repr(items)

            for _ in range(3):
                assert await function([1, {"a": 2}]) == "[1, {'a': 2}]"
                assert await function([1, {"a": 3}]) == "[1, {'a': 3}]"
                with pytest.raises(UnstableKeyError, match="'items'"):
                    await function(object())

        twice(scene)

    def test_one_per_call_of_the_same_key_leaves_no_trail(self):
        class User:
            def __cache_key__(self) -> int:
                return 7

        async def scene(cache: Cache) -> None:
            @cache.cached("k:{user}")
            async def function(user: object) -> int:
                return 1

            for _ in range(1_000):
                await function(User())
                await function(float("nan"))
            assert sum(len(aliases) for aliases in cache.memory._aliases) < 20

        twice(scene)

    def test_fields_of_one_are_read_each_time(self):
        @dataclasses.dataclass
        class User:
            id: int

        async def scene(cache: Cache) -> None:
            @cache.cached("k:{user.id}", tags=["user:{user.id}"])
            async def function(user: User) -> int:
                return user.id

            user = User(1)
            assert [await function(user) for _ in range(3)] == [1] * 3
            user.id = 2
            assert [await function(user) for _ in range(3)] == [2] * 3
            await cache.invalidate("user:2")
            assert await function(user) == 2

        twice(scene)


class TestCalls:
    def test_a_result_of_its_own_kind(self):
        async def scene(cache: Cache) -> None:
            @cache.cached("fib:{number}")
            async def fib(number: int) -> int:
                return number if number < 2 else await fib(number - 1) + await fib(number - 2)

            assert await fib(60) == 1548008755920

        asyncio.run(scene(Cache()))

    def test_key_invalidate_and_refresh(self):
        async def scene(cache: Cache) -> None:
            calls = 0

            @cache.cached("k:{number}", ignore=("session",))
            async def function(number: int, session: object = None) -> int:
                nonlocal calls
                calls += 1
                return calls

            assert function.key(5) == function.key(number=5, session=object()) == "k:5"
            assert [await function(5), await function(5)] == [1, 1]
            await function.invalidate(5)
            assert await function(5) == 2
            assert await function.refresh(5) == 3
            assert await function(5) == 3
            await cache.delete("k:5")
            assert await function(5) == 4

        twice(scene)
