"""What the Redis tests wait with: events of the client, not time."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

from seawall.redis import Redis

PATIENT: dict[str, Any] = {"timeout": 2.0, "connect_timeout": 3.0}
"""For tests of something else than time, on a machine that has other things to do."""


class Ups:
    """Counts a client's connections and losses, and waits for them."""

    def __init__(self, redis: Redis) -> None:
        self.ups = 0
        self.errors: list[Exception] = []
        self._waiters: list[asyncio.Future[None]] = []
        redis.watch(self._up, self._down)
        self._redis = redis

    def _up(self) -> None:
        self.ups += 1
        self._wake()

    def _down(self, error: Exception) -> None:
        self.errors.append(error)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def connected(self) -> None:
        """Wait until the client has a connection."""
        await self._until(connected=True)

    async def lost(self) -> None:
        """Wait until it has none."""
        await self._until(connected=False)

    async def _until(self, *, connected: bool) -> None:
        async with asyncio.timeout(5):
            while self._redis.connected is not connected:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter


class Lag:
    """How late this process was at worst while the block ran: what a busy machine adds to every measured time."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _measure(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            self.worst = max(self.worst, time.perf_counter() - began - 0.001)


def sockets() -> int:
    """Open sockets of this process."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        except OSError:
            continue
    return found


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Fail if the block leaves a task or a socket behind."""
    tasks, open_before = asyncio.all_tasks(), sockets()
    yield
    await asyncio.sleep(0)
    gc.collect()
    assert asyncio.all_tasks() == tasks
    assert sockets() == open_before


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test in a loop in debug mode, with errors nobody took as failures."""
    problems: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(10), nothing_left():
            await main

    asyncio.run(watched())
    gc.collect()
    assert not problems
