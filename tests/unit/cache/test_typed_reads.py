"""What a reader gets who asks for a type, from memory and from a tier, and what a read of many does with errors."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from seawall.cache import Cache, Freshness, MemoryTier
from seawall.testing import Store, StoreTier

ID = UUID("0a0a0a0a-0000-4000-8000-000000000001")
MISS = "a miss"


@dataclass(frozen=True)
class Podcast:
    id: int


def in_memory(scene: Callable[[Cache, Cache], Awaitable[None]]) -> None:
    """A scene in which reader and writer are one cache, without any other tier; found fast and found slowly."""

    async def main() -> None:
        async with Cache() as cache:
            await scene(cache, cache)

    asyncio.run(main())


def over_a_tier(scene: Callable[[Cache, Cache], Awaitable[None]]) -> None:
    """A scene in which a process writes and another reads."""

    async def main() -> None:
        store = Store()
        async with (
            Cache(MemoryTier(), StoreTier(store)) as writer,
            Cache(MemoryTier(), StoreTier(store)) as reader,
        ):
            await scene(writer, reader)

    asyncio.run(main())


@pytest.fixture(params=[in_memory, over_a_tier])
def play(request) -> Any:
    return request.param


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("x", int),
        ("1", int),
        (1, str),
        (1.5, int),
        (True, int),
        (b"x", str),
        (None, str),
        (ID, str),
        (str(ID), UUID),
        (Podcast(1), int),
        ({"id": 1}, Podcast),
        ([1, 2], list[str]),
        ([1, 2], set[int]),
        ([1, 2], tuple[int, ...]),
        ((1, 2), tuple[str, ...]),
    ],
)
def test_a_value_of_another_type_is_none(play, value, type_):
    async def scene(writer: Cache, reader: Cache) -> None:
        await writer.set("k", value, type=tuple[int, ...] if isinstance(value, tuple) else None)
        for _ in range(3):
            assert await reader.get("k", MISS, type=type_) == MISS
            assert await reader.get_many(["k"], type=type_) == {}
            assert await writer.get("k") == value

    play(scene)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("x", str),
        ("x", str | None),
        (None, str | None),
        (7, int),
        (2**70, int),
        (7, float),
        (7, int | str),
        (1.5, float),
        (True, bool),
        (b"x", bytes),
        (ID, UUID),
        (Podcast(1), Podcast),
        ([1, 2], list[int]),
        ({"a": [None]}, dict[str, list[int | None]]),
        ([1, "x"], Any),
        ("x", Any),
    ],
)
def test_what_was_stored_without_a_type_is_read_as_the_type_it_is_of(play, value, type_):
    async def scene(writer: Cache, reader: Cache) -> None:
        await writer.set("k", value)
        for _ in range(3):
            assert await reader.get("k", MISS, type=type_) == value
            assert await reader.get_many(["k"], type=type_) == {"k": value}

    play(scene)


@pytest.mark.parametrize("value", ["x", 7, 1.5, True, b"x"])
def test_what_was_stored_with_a_plain_type_is_read_without_one(play, value):
    async def scene(writer: Cache, reader: Cache) -> None:
        await writer.set("k", value, type=type(value))
        for type_ in (None, Any):
            assert await reader.get("k", MISS, type=type_) == value

    play(scene)


def test_what_is_set_without_a_type_is_a_functions_result():
    async def scene(writer: Cache, reader: Cache) -> None:
        calls = []

        @reader.cached("title:{number}")
        async def title(number: int) -> str:
            calls.append(number)
            return f"title {number}"

        await writer.set("title:1", "set")
        await writer.set("title:2", 2)
        assert [await title(1), await title(2)] == ["set", "title 2"]
        assert calls == [2]

    over_a_tier(scene)


def test_a_whole_number_is_the_result_of_a_function_that_returns_a_float():
    async def scene(a: Cache, b: Cache) -> None:
        loads = []

        async def ratio(number: int) -> float:
            loads.append(number)
            return 0

        for cache in (a, b, a, b):
            assert await cache.cached("ratio:{number}")(ratio)(1) == 0
        assert loads == [1]

    over_a_tier(scene)


def test_a_value_is_looked_at_anew_when_another_one_takes_its_place(play):
    async def scene(writer: Cache, reader: Cache) -> None:
        for value, as_text, as_number in (("x", "x", MISS), (1, MISS, 1), (None, None, None), ("y", "y", MISS)):
            await writer.set("k", value)
            for _ in range(5):  # for the news to arrive
                await asyncio.sleep(0)
            for _ in range(3):
                assert await reader.get("k", MISS, type=str | None) == as_text
                assert await reader.get("k", MISS, type=int | None) == as_number
                assert await reader.get("k") == value

    play(scene)


def test_hits_are_counted_once_and_misses_of_a_type_as_misses():
    async def scene(cache: Cache, same: Cache) -> None:
        await cache.set("k", "x")
        for _ in range(5):
            await cache.get("k")
            await cache.get("k", type=str)
            await cache.get("k", type=str | None)
            await cache.get("k", type=int)
        counts = cache.statistics().total
        assert (counts.hits, counts.misses) == (15, 5)

    in_memory(scene)


def test_a_read_of_many_leaves_errors_out_and_a_read_of_one_raises_them(play):
    freshness = Freshness(negative_ttl=60.0, negative_errors=(LookupError,))

    async def fails() -> None:
        raise LookupError("gone")

    async def scene(writer: Cache, reader: Cache) -> None:
        for cache in (writer, reader):
            cache.categories["default"] = freshness
        await writer.set("a", 1)
        with pytest.raises(LookupError, match="gone"):
            await writer.get_or_set("b", fails)
        for _ in range(3):
            assert await reader.get_many(["a", "b", "c"]) == {"a": 1}
            assert await reader.get_many(["b"], type=int) == {}
            with pytest.raises(LookupError, match="gone"):
                await reader.get("b")

    play(scene)


def test_a_read_of_many_still_refuses_what_is_no_key():
    async def main() -> None:
        with pytest.raises(TypeError):
            await Cache().get_many([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]

    asyncio.run(main())
