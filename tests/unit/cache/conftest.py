import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from seawall.cache import Cache, MemoryTier
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
