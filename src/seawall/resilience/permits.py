"""Permits for a number of calls at once, with a bounded queue; shared by bulkhead and adaptive limit."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from asyncio import AbstractEventLoop, Future
from typing import Protocol


class Waiter(Protocol):
    """Somebody in the queue, woken once: with a permit or without."""

    granted: bool | None
    """None while it waits, then whether it got the permit. Set by `Permits` under its lock."""

    def wake(self) -> None:
        """Go on: `granted` is known. Raises `RuntimeError` where nobody can go on any more."""
        ...


class Permits:
    """At most `limit` permits are out; up to `max_waiting` wait, the higher priority first, then the earlier.

    A permit that comes back goes straight to the first waiter, so a newcomer can't take it. When the queue
    is full, a newcomer of higher priority takes the place of the last waiter of the lowest one.

    Woven functions take and give back free permits in place (`in_use`); everything else goes through here.
    A machine without time or I/O; safe in threads.
    """

    __slots__ = ("_lock", "_order", "_queue", "in_use", "limit", "max_waiting", "waiting")

    def __init__(self, limit: int, max_waiting: int) -> None:
        self.limit = limit
        self.max_waiting = max_waiting
        self.in_use = 0
        self.waiting = 0
        self._queue: list[tuple[int, int, Waiter]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def enter(self, waiter: Waiter, priority: int = 0) -> bool | None:
        """Ask for a permit: True when granted at once, None when queued, False when the queue is full."""
        evicted: Waiter | None = None
        with self._lock:
            if self.in_use < self.limit and not self._queue:
                self.in_use += 1
                return True
            if len(self._queue) >= self.max_waiting:
                last = max(self._queue, default=None)
                if last is None or -last[0] >= priority:
                    return False
                self._remove(last)
                evicted = last[2]
                evicted.granted = False
            heapq.heappush(self._queue, (-priority, next(self._order), waiter))
            self.waiting = len(self._queue)
        if evicted is not None:
            _wake(evicted)
        # A woven function in another thread may have given its permit back before it could see the queue.
        self.grant()
        return None

    def leave(self, waiter: Waiter) -> None:
        """Give up waiting: out of the queue, or back with a permit that was on its way."""
        with self._lock:
            for entry in self._queue:
                if entry[2] is waiter:
                    self._remove(entry)
                    return
        if waiter.granted:
            self.release()

    def release(self) -> None:
        """Give a permit back, to the first waiter if there is one."""
        with self._lock:
            # Handed on without being free in between, when a woven function in another thread could take it.
            waiter = self._first() if self.in_use <= self.limit else None
            if waiter is None:
                self.in_use -= 1
        if waiter is not None and not _wake(waiter):
            self.release()

    def grant(self) -> None:
        """Hand free permits to waiters; also after `limit` has grown."""
        while True:
            with self._lock:
                waiter = self._first() if self.in_use < self.limit else None
                if waiter is None:
                    return
                self.in_use += 1
            if not _wake(waiter):
                self.release()

    def _first(self) -> Waiter | None:
        """Take the first waiter out of the queue, with a permit."""
        if not self._queue:
            return None
        waiter = heapq.heappop(self._queue)[2]
        self.waiting = len(self._queue)
        waiter.granted = True
        return waiter

    def _remove(self, entry: tuple[int, int, Waiter]) -> None:
        self._queue.remove(entry)
        heapq.heapify(self._queue)
        self.waiting = len(self._queue)


def _wake(waiter: Waiter) -> bool:
    """Wake it; False if its event loop is closed, so that nobody waits there any more."""
    try:
        waiter.wake()
    except RuntimeError:
        return False
    return True


class TaskWaiter:
    """A task in the queue. May be woken from any thread."""

    __slots__ = ("_future", "_loop", "granted")

    def __init__(self) -> None:
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._future: Future[None] = self._loop.create_future()
        self.granted: bool | None = None

    def wake(self) -> None:
        """Go on: `granted` is known."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            self._resolve()
        else:
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, permits: Permits, seconds: float | None) -> bool | None:
        """Wait for a permit: True when granted, False when evicted, None after `seconds` in vain.

        Cancelled, it leaves the queue, and gives back a permit that was on its way.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._future
        except BaseException as error:
            permits.leave(self)
            if isinstance(error, TimeoutError):
                return None
            raise
        return self.granted


class ThreadWaiter:
    """A thread in the queue."""

    __slots__ = ("_event", "granted")

    def __init__(self) -> None:
        self._event = threading.Event()
        self.granted: bool | None = None

    def wake(self) -> None:
        """Go on: `granted` is known."""
        self._event.set()

    def wait(self, permits: Permits, seconds: float | None) -> bool | None:
        """Wait for a permit: True when granted, False when evicted, None after `seconds` in vain."""
        try:
            if self._event.wait(seconds):
                return self.granted
        except BaseException:
            permits.leave(self)
            raise
        permits.leave(self)
        return None
