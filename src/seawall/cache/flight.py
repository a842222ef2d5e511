"""Single flight: one load of a key at a time, shared by all who ask for it meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Generic, TypeVar

from seawall.core import deadline

T = TypeVar("T")


class StillFlyingError(TimeoutError):
    """A waiter's time is over; the load goes on for the others."""


def circular(key: str) -> RecursionError:
    """The error of a caller that waits for `key` while `key` waits for it."""
    return RecursionError(f"loading cache key {key!r} needs its own result; a loader must not ask for what it loads")


class Flight(Generic[T]):
    """A load under way. Its task belongs to nobody: a caller who is cancelled harms no other.

    It is cancelled when the last waiter leaves, unless it is `detached`: goes on for its own sake. It runs in a copy
    of the first caller's context, without that caller's deadline, since others may have more time.

    began: how often the shared tier had gone or come when it began.
    floor: a version below which its result must not be kept, because the key was changed meanwhile.
    """

    __slots__ = ("_done", "_needs", "_task", "_waiting", "began", "detached", "floor", "version")

    def __init__(self, *, detached: bool = False) -> None:
        self.detached = detached
        self.floor = 0
        self.began = 0
        self.version: int | None = None
        self._waiting: set[asyncio.Future[T]] = set()
        self._needs: list[Flight[Any]] = []
        self._done: Callable[[], object] | None = None
        self._task: asyncio.Task[T] | None = None

    def start(self, work: Callable[[], Coroutine[Any, Any, T]], done: Callable[[], object]) -> None:
        """Begin; `done` is called when nobody may join it any more, and before anybody who waits goes on."""
        self._done = done
        context: Context = copy_context()
        context.run(deadline.current.set, deadline.NEVER)
        context.run(_aboard.set, self)
        self._task = asyncio.get_running_loop().create_task(work(), context=context)

        def finish(task: asyncio.Task[T]) -> None:
            done()
            self._task = None  # whose context holds this flight
            waiting, self._waiting = self._waiting, set()
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            for future in waiting:
                if future.done():
                    continue
                if error is None:
                    future.set_result(task.result())
                elif isinstance(error, asyncio.CancelledError):
                    future.cancel()
                else:
                    future.set_exception(error)

        self._task.add_done_callback(finish)

    def needs_caller(self) -> bool:
        """Whether it waits, through other flights or not, for the very flight that asks."""
        caller = _aboard.get()
        looked_at: set[Flight[Any]] = set()
        left: list[Flight[Any]] = [] if caller is None else [self]
        while left:
            flight = left.pop()
            if flight is caller:
                return True
            if flight not in looked_at:
                looked_at.add(flight)
                left += flight._needs
        return False

    async def join(self, timeout: float | None = None) -> T:
        """What the load brings. Raises `StillFlyingError` after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.add(future)
        caller = _aboard.get()
        if caller is not None:
            caller._needs.append(self)
        timer = None
        if timeout is not None:
            timer = loop.call_later(timeout, _expire, future)
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            if caller is not None:
                caller._needs.remove(self)
            self._waiting.discard(future)
            if not self._waiting:
                self.abandon()

    def abandon(self) -> None:
        """Cancel the load, unless somebody waits for it or it is detached."""
        if self._task is not None and not self.detached and not self._waiting and not self._task.done():
            if self._done is not None:
                self._done()
            self.floor = sys.maxsize  # of changes from now on it does not hear, should it go on nevertheless
            self._task.cancel()

    def cancel(self) -> asyncio.Task[T] | None:
        """Cancel the load whoever waits: the cache stops."""
        if self._task is not None:
            self._task.cancel()
        return self._task


_aboard: ContextVar[Flight[Any] | None] = ContextVar("seawall_cache_flight", default=None)
"""The flight whose loader runs."""


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(StillFlyingError())
