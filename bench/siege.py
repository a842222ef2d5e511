"""A cached function under load while its server is stopped and goes on: `siege` runs in a process of its own."""

import asyncio
import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass
from itertools import count

from bench.cache_shape import Load, Shared
from bench.model import Figure
from bench.processes import complete
from bench.registry import find

_TASKS = 20
_HOT = 200
_PAUSE = 0.02
"""Seconds between two calls of a task, give or take half of it: who waited for the same thing goes on apart."""
_SETTLE = 0.5
_BEFORE = 1.5
_FIRST = 0.1
"""Seconds after the stop in which a call counts as one of the first."""
_CONVERGE = 5.0
_FACT = "fact"


@dataclass(slots=True)
class _Sample:
    began: float
    seconds: float
    error: str
    control: bool


def siege(path: str, url: str, pid: int, outage: float) -> dict[str, Figure]:
    """Load the peer module at `path`, stop the server `pid` for `outage` seconds, and see what callers notice."""
    return complete(_siege(path, url, pid, outage))


async def _siege(path: str, url: str, pid: int, outage: float) -> dict[str, Figure]:
    truth = {_FACT: "old"}

    async def load(key: str) -> str:
        return truth.get(key, key)

    entering = contextlib.AsyncExitStack()  # never left: the process ends
    one: Shared = await entering.enter_async_context(find(path).shared(url, load))
    other: Shared = await entering.enter_async_context(find(path).shared(url, load))
    await one.call(_FACT)
    await other.call(_FACT)
    samples: list[_Sample] = []
    ended = asyncio.Event()
    tasks = [asyncio.create_task(_caller(one, load, number, samples, ended)) for number in range(_TASKS)]
    await asyncio.sleep(_SETTLE)
    samples.clear()
    await asyncio.sleep(_BEFORE)
    os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        await asyncio.sleep(outage / 2)
        truth[_FACT] = "new"
        change = asyncio.create_task(_change(one))
        await asyncio.sleep(stopped + outage - time.monotonic())
    finally:
        os.kill(pid, signal.SIGCONT)
    resumed = time.monotonic()
    converged = await _converged(one, other, resumed) if one.set else None
    await asyncio.sleep(0.5)
    ended.set()
    change.cancel()
    _, stuck = await asyncio.wait(tasks, timeout=2.0)
    for task in stuck:
        task.cancel()
    await asyncio.wait(tasks, timeout=1.0)
    return _figures(samples, stopped, resumed) | {"converged": converged}


async def _caller(shared: Shared, load: Load, number: int, samples: list[_Sample], ended: asyncio.Event) -> None:
    """Call for a hot key, for a new one, and the load itself in turn, with a pause after each, until `ended`."""
    await asyncio.sleep(_PAUSE * number / _TASKS)  # not all at the same moment
    for turn in count():
        if ended.is_set():
            return
        key = f"new{number}x{turn}" if turn % 3 == 1 else f"hot{(turn * _TASKS + number) % _HOT}"
        control = turn % 3 == 2
        began, error = time.monotonic(), ""
        try:
            await (asyncio.ensure_future(load(key)) if control else shared.call(key))
        except asyncio.CancelledError:
            error = "still waiting"
            raise
        except Exception as raised:  # noqa: BLE001
            error = type(raised).__name__
        finally:
            samples.append(_Sample(began, time.monotonic() - began, error, control))
        await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))


async def _change(shared: Shared) -> None:
    if shared.set is not None:
        with contextlib.suppress(Exception):
            await shared.set(_FACT, "new")


async def _converged(one: Shared, other: Shared, since: float) -> float | None:
    """Seconds until both see the change that was made during the outage."""
    while time.monotonic() - since < _CONVERGE:
        try:
            async with asyncio.timeout(_CONVERGE):
                seen = [await one.call(_FACT), await other.call(_FACT)]
        except Exception:  # noqa: BLE001
            seen = []
        if seen == ["new", "new"]:
            return time.monotonic() - since
        await asyncio.sleep(0.01)
    return None


def _figures(samples: list[_Sample], stopped: float, resumed: float) -> dict[str, Figure]:
    calls = [each for each in samples if not each.control]
    during = [each for each in calls if stopped < each.began + each.seconds and each.began < resumed]
    usual = _tail([each for each in calls if each.began + each.seconds < stopped]) or 0.0
    control = _tail([each for each in samples if each.control and stopped < each.began < resumed])
    first = _tail([each for each in during if each.began < stopped + _FIRST])
    later = _tail([each for each in during if each.began >= stopped + _FIRST])
    return {
        "usual": usual,
        "control": control,
        "first": None if first is None else first - usual,
        "later": None if later is None else later - usual,
        "calls": sum(each.began + each.seconds < resumed for each in during),
        "errors": sum(bool(each.error) for each in calls),
        "error": ", ".join(sorted({each.error for each in calls if each.error})),
    }


def _tail(samples: list[_Sample]) -> float | None:
    """The 99th percentile in milliseconds."""
    latencies = sorted(each.seconds for each in samples)
    return latencies[len(latencies) * 99 // 100] * 1e3 if latencies else None
