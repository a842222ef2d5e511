"""An event loop on which waiting takes no time.

    def test_gives_up_after_an_hour():
        async def main():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3600):
                    await asyncio.sleep(7200)
        virtual_time.run(main())

Plain `asyncio.sleep`, `timeout` and `call_later` work unchanged: when nothing is ready to run, the clock jumps
to the next timer. When there is no timer either, nothing will ever happen: that is a `DeadlockError` that
names the tasks and where each one waits.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar

from seawall.testing.clock import FakeClock

T = TypeVar("T")


_RESOLUTION = 1e-6


class DeadlockError(RuntimeError):
    """Every task waits, and no timer is due that could wake one."""


class _Selector(selectors.DefaultSelector):
    """Asks the operating system what is ready without waiting, then lets the loop jump."""

    idle: Callable[[float | None], bool]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        # A thread of `run_in_executor` works in real time; wait for it.
        return [] if self.idle(timeout) else super().select(None)


class _Timer(asyncio.TimerHandle):
    """A timer that runs after those that were set before it for the same time, as on a clock that never stops."""

    __slots__ = ("number",)
    number: int

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        assert isinstance(other, _Timer)  # noqa: S101 - this loop makes no others
        return (self.when(), self.number) < (other.when(), other.number)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose time is a `FakeClock`'s. For code that waits; real sockets need a real loop."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self._in_threads = 0
        self._numbers = itertools.count()
        selector = _Selector()
        selector.idle = self._idle
        super().__init__(selector)
        # A timer is due when it is less than this far away; the clock stops exactly at timers.
        self._clock_resolution = _RESOLUTION

    def time(self) -> float:
        """The clock's reading."""
        return self.clock.monotonic()

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` in a thread, in real time: the clock stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait, in real time, for the threads of `run_in_executor` to end."""
        self._in_threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._in_threads -= 1

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback` when the clock reads `when`."""
        self._check_closed()  # type: ignore[attr-defined]
        timer = _Timer(when, callback, args, self, context)
        timer.number = next(self._numbers)
        timer._scheduled = True  # type: ignore[attr-defined]
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        return timer

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._in_threads -= 1

    def _idle(self, timeout: float | None) -> bool:
        if self._in_threads:
            return False
        # The loop has taken cancelled timers off the front before it asks.
        due: float = math.inf if timeout is None else self._scheduled[0].when()  # type: ignore[attr-defined]
        if due == math.inf:
            raise DeadlockError(self._waiting())
        self.clock.advance_to(due)
        self._clock_resolution = max(_RESOLUTION, math.ulp(due))
        return True

    def _waiting(self) -> str:
        lines = ["deadlock: every task waits and no timer is due"]
        for task in asyncio.all_tasks(self):
            frames = task.get_stack(limit=1)
            where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "before its first step"
            lines.append(f"  {task.get_name()} in {task.get_coro()!r} at {where}")
        return "\n".join(lines)


def run(main: Coroutine[Any, Any, T], *, clock: FakeClock | None = None) -> T:
    """Run `main` on a `VirtualTimeLoop` and return its result. Raises `DeadlockError` when nothing can go on."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock)) as runner:
        return runner.run(main)
