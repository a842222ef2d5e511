"""Whatever a caller does to what he got or gave, nobody else sees it, however it was found."""

import asyncio
import dataclasses
from typing import Any

import pytest
from pydantic import BaseModel

from seawall.cache import Cache, Freshness, MemoryTier
from seawall.testing import Store, StoreTier
from tests.unit.cache.conftest import twice


@dataclasses.dataclass
class Point:
    tags: list[str]


class Model(BaseModel):
    tags: list[str]


class TestIsolation:
    @pytest.mark.parametrize("blocking", [False, True])
    @pytest.mark.parametrize(
        "make", [lambda: ["a"], lambda: {"tags": ["a"]}, lambda: Point(["a"]), lambda: Model(tags=["a"])]
    )
    def test_of_what_a_function_returned(self, make, blocking):
        def spoil(found: Any) -> None:
            assert found == make()
            tags = found if isinstance(found, list) else found["tags"] if isinstance(found, dict) else found.tags
            tags.append("spoilt")
            if isinstance(found, dict):
                found["new"] = 1

        async def scene(cache: Cache) -> None:
            options: Any = {"type": type(make()) if not isinstance(make(), list) else None}
            if blocking:
                now = cache.cached("k:{number}", **options)(lambda number: make())
                for _ in range(4):
                    spoil(now(1))
                    spoil(await asyncio.to_thread(now, 1))
                    spoil(await now.refresh(1))
            else:

                async def load(number: int) -> Any:
                    await asyncio.sleep(0.001)
                    return make()

                later = cache.cached("k:{number}", **options)(load)
                for _ in range(2):
                    for found in await asyncio.gather(*(later(1) for _ in range(10))):
                        spoil(found)
                    for found in await asyncio.gather(*(later.refresh(1) for _ in range(10))):
                        spoil(found)
                cache.memory.clear()
                for found in await asyncio.gather(*(later(1) for _ in range(10))):
                    spoil(found)
                for _ in range(3):
                    spoil(await later(1))
                    spoil(await cache.get("k:1", make()))
                    spoil((await cache.get_many(["k:1"])).get("k:1", make()))
                    spoil(cache.get_nowait("k:1", make()))

        twice(scene)

    def test_of_what_was_stored(self):
        async def scene(cache: Cache) -> None:
            value = {"tags": ["a"]}
            await cache.set("k", value)
            value["tags"].append("spoilt")
            found = await cache.get("k", {"tags": ["a"]})
            assert found == {"tags": ["a"]}
            found["tags"].clear()
            assert await cache.get("k", {"tags": ["a"]}) == {"tags": ["a"]}

        twice(scene)

    def test_of_what_is_stale(self, run, clock):
        store = Store(clock=clock)
        freshness = Freshness(ttl=1.0, jitter=0.0, stale_while_revalidate=10.0, fail_safe=100.0)

        async def fails(load: Any) -> Any:
            assert load.stale == ["a"]
            load.stale.append("spoilt")
            await asyncio.sleep(0.1)
            raise ConnectionError

        async def main() -> None:
            async with Cache(MemoryTier(), StoreTier(store), freshness=freshness, clock=clock) as cache:
                await cache.set("k", ["a"])
                for seconds in (2.0, 2.0, 20.0, 20.0):
                    await asyncio.sleep(seconds)
                    for found in await asyncio.gather(*(cache.get_or_set("k", fails) for _ in range(5))):
                        assert found == ["a"]
                        found.append("spoilt")
                    cache.memory.clear()

        run(main())
