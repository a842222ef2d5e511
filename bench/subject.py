"""What the contenders protect: calls that do nothing, and a dependency that does as it is told."""

import asyncio

from bench.shape import Call


async def bare(value: int) -> int:
    """Return `value`: the reference every asynchronous figure is divided by."""
    return value


def bare_sync(value: int) -> int:
    """Return `value`: the reference every synchronous figure is divided by."""
    return value


class Dependency:
    """A remote service in miniature: it answers or fails after `takes` seconds, or hangs.

    `call` is a plain `async def`, not a method, because some libraries only decorate functions.
    """

    def __init__(self, *, healthy: bool = True, takes: float | None = None) -> None:
        """Answer after `takes` seconds, or fail when not `healthy`; `None` takes no turn of the loop."""
        self.healthy = healthy
        self.takes = takes
        self.reset()
        self.call = self._build()

    def reset(self) -> None:
        """Forget what happened; the behaviour stays."""
        self.calls = 0
        self.finished = 0
        self.running = 0
        self.peak = 0
        self.before_first_answer = 0

    def _build(self) -> Call:
        async def dependency(value: int) -> int:
            self._enter()
            try:
                if self.takes is not None:
                    await asyncio.sleep(self.takes)
                if not self.healthy:
                    message = "dependency is down"
                    raise ConnectionError(message)
                return value
            finally:
                self.running -= 1
                self.finished += 1

        return dependency

    def _enter(self) -> None:
        self.calls += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        if not self.finished:
            self.before_first_answer += 1


async def open_up(call: Call, dependency: Dependency, *, tries: int = 100) -> None:
    """Fail `call` until its breaker refuses one; raise `LookupError` when it never does.

    A refusal is recognised by its effect: the call fails without reaching the dependency.
    """
    dependency.healthy = False
    for _ in range(tries):
        reached = dependency.calls
        try:
            await call(1)
        except Exception:  # noqa: BLE001  every library has its own errors
            if dependency.calls == reached:
                return
    message = f"still closed after {tries} failures"
    raise LookupError(message)
