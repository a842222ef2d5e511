import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from seawall.cache import Cache, Freshness, MemoryTier
from seawall.testing import FakeClock, Store, StoreTier, virtual_time


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def run(clock) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine on a virtual-time loop that shares the clock."""
    return lambda main: virtual_time.run(main, clock=clock)


@pytest.fixture
def store(clock) -> Store:
    """What a server would hold."""
    return Store(clock=clock)


TTL = 100.0


async def heard() -> None:
    """Let news arrive."""
    for _ in range(5):
        await asyncio.sleep(0)


def line(cache: Cache) -> StoreTier:
    """A cache's line to the store."""
    assert isinstance(cache.tier, StoreTier)
    return cache.tier


@pytest.fixture
def play(run, store, clock) -> Callable[..., Any]:
    """Runs a coroutine function with as many caches as it has parameters, each with a line of its own."""

    def play(scene: Callable[..., Any], count: int = 2, **options: Any) -> None:
        async def main() -> None:
            freshness = Freshness(ttl=TTL, jitter=0.0, **options)
            caches = [Cache(MemoryTier(), StoreTier(store), freshness=freshness, clock=clock) for _ in range(count)]
            async with AsyncExitStack() as stack:
                for cache in caches:
                    await stack.enter_async_context(cache)
                await scene(*caches)

        run(main())

    return play


class Source:
    """What is loaded from: counts the loads, takes `seconds`, raises `error` if there is one."""

    def __init__(self, value: Any = None, seconds: float = 0.0) -> None:
        self.value = value
        self.seconds = seconds
        self.error: BaseException | None = None
        self.loads = 0

    async def __call__(self) -> Any:
        self.loads += 1
        value = self.loads if self.value is None else self.value
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return value


@pytest.fixture
def source() -> Source:
    return Source()


def twice(function: Callable[[Cache], Awaitable[None]]) -> None:
    """Runs a scene on a real loop (entries are found fast there), with memory alone and with a tier behind it."""

    async def main() -> None:
        for tiers in ((), (StoreTier(Store()),), (MemoryTier(max_entries=0), StoreTier(Store()))):
            async with Cache(*(tiers or (MemoryTier(),))) as cache:
                await function(cache)

    asyncio.run(main())
