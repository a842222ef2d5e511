"""Slots for work of different importance: whoever waits with the highest priority gets the next free one."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class Slots:
    """`count` slots; those who wait with the same priority get them in the order they came."""

    __slots__ = ("_numbers", "_waiting", "free")

    def __init__(self, count: int) -> None:
        self.free = count
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def acquire(self, priority: int) -> None:
        """Wait for a slot. Whoever is cancelled meanwhile has none."""
        if self.free:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-priority, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1
