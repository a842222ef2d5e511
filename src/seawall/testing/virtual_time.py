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
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

from seawall.testing.clock import FakeClock

T = TypeVar("T")


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


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose time is a `FakeClock`'s. For code that waits; real sockets need a real loop."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self._in_threads = 0
        selector = _Selector()
        selector.idle = self._idle
        super().__init__(selector)
        # A timer is due when it is less than this far away; the clock stops exactly at timers.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """The clock's reading."""
        return self.clock.monotonic()

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` in a thread, in real time: the clock stands still until it is done."""
        self._in_threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._in_threads -= 1

    def _idle(self, timeout: float | None) -> bool:
        if self._in_threads:
            return False
        if timeout is None:
            raise DeadlockError(self._waiting())
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if timers:
            self.clock.advance_to(min(timers))
        else:
            self.clock.advance(timeout)
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
