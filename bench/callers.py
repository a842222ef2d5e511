"""Many callers of one cached function in several processes, and how often it is loaded.

`callers` runs in a process of its own, so everything it takes can be pickled.
"""

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from bench.cache_shape import Load, Shared
from bench.processes import complete
from bench.registry import find

Fault = Literal["none", "failing", "killed", "cancelled"]
_START = 30.0


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who calls what: the peer module at `path` on the server at `url`; the load of `key` takes `load` seconds.

    fault: `failing` loads raise; of the loads of `killed` the first kills its process half-way; of the callers of
    `cancelled` the first one, and only it, is cancelled half-way. Nobody waits longer than `most` seconds.
    """

    path: str
    url: str
    key: str
    load: float
    callers: int
    most: float
    fault: Fault = "none"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the callers of one process."""

    answered: int
    failed: int
    waiting: int
    seconds: float
    error: str = ""


class LoadError(Exception):
    """The load failed, as it was to."""


def callers(crowd: Crowd, barrier: Any) -> Outcome:
    """Call, all at once, when every process is ready."""
    return complete(_callers(crowd, barrier))


async def _callers(crowd: Crowd, barrier: Any) -> Outcome:
    entering = contextlib.AsyncExitStack()  # never left: the process ends
    counter: Any = await entering.enter_async_context(Redis.from_url(crowd.url))
    shared: Shared = await entering.enter_async_context(find(crowd.path).shared(crowd.url, _load(crowd, counter)))
    await shared.call(f"warm{os.getpid()}")
    await asyncio.to_thread(barrier.wait, _START)
    return await _called(crowd, shared)


def _load(crowd: Crowd, counter: Any) -> Load:
    async def load(key: str) -> str:
        if key != crowd.key:
            return key
        number = await counter.incr(f"loads:{key}")
        if crowd.fault == "killed" and number == 1:
            await asyncio.sleep(crowd.load / 2)
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(crowd.load)
        if crowd.fault == "failing":
            raise LoadError(key)
        return key

    return load


async def _called(crowd: Crowd, shared: Shared) -> Outcome:
    began = time.monotonic()

    async def one() -> str:
        return await shared.call(crowd.key)

    tasks = [asyncio.create_task(one()) for _ in range(crowd.callers)]
    if crowd.fault == "cancelled":
        await asyncio.sleep(crowd.load / 2)
        tasks.pop(0).cancel()
    done, waiting = await asyncio.wait(tasks, timeout=crowd.most)
    seconds = time.monotonic() - began
    for task in waiting:
        task.cancel()
    errors = [task for task in done if task.cancelled() or task.exception() is not None]
    wrong = [task for task in done if task not in errors and task.result() != crowd.key] if not errors else []
    kinds = {"CancelledError" if task.cancelled() else type(task.exception()).__name__ for task in errors}
    return Outcome(
        answered=len(done) - len(errors) - len(wrong),
        failed=len(errors) + len(wrong),
        waiting=len(waiting),
        seconds=seconds,
        error=", ".join(sorted(kinds)),
    )
