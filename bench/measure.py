"""Timing: contenders interleaved round by round, medians over the rounds.

The machine's mood changes by the second. Every round therefore runs every contender once, in an order that
rotates, and a figure is compared round by round with the reference of the same round: the quotient survives a
processor that changes its speed, which nanoseconds do not. The collector is off during a
lap and runs between laps. What is measured is the CPU time of the thread (`thread_time_ns`), which other
processes cannot inflate; wall time is kept beside it, and gives away a contender that waits.
"""

import asyncio
import contextvars
import gc
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from statistics import median, quantiles
from typing import Any

from bench.plan import Plan
from bench.shape import Call

Lap = Callable[[int], Awaitable[None]]
"""Makes so many calls."""

_SMALLEST = 16
_PLACE = re.compile(r" \(/[^)]*\)")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something to time; at most `most` calls a lap, when a lap must stay small."""

    name: str
    lap: Lap
    most: int | None = None


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Nanoseconds a call, one value a round; rounds of one run have the same index in all its timings."""

    cpu: tuple[float, ...]
    wall: tuple[float, ...]
    calls_per_lap: int

    @property
    def ns(self) -> float:
        """The median of the CPU time."""
        return median(self.cpu)

    def above(self, reference: "Timing") -> float:
        """Return the median of what this took more than `reference` in the same round."""
        return median(mine - other for mine, other in zip(self.cpu, reference.cpu, strict=True))

    def over(self, reference: "Timing") -> float:
        """Return the median of the quotient with `reference` in the same round."""
        return median(self._quotients(reference))

    def spread(self, reference: "Timing") -> float:
        """Return the interquartile range of that quotient over its median."""
        low, middle, high = quantiles(self._quotients(reference), n=4)
        return (high - low) / middle

    def _quotients(self, reference: "Timing") -> list[float]:
        return [mine / other for mine, other in zip(self.cpu, reference.cpu, strict=True)]


def awaiting(call: Callable[[Any], Awaitable[Any]], asked: Any = 1) -> Lap:
    """Return a lap that awaits `call(asked)`."""

    async def lap(calls: int) -> None:
        for _ in repeat(None, calls):
            await call(asked)

    return lap


def calling(call: Callable[[Any], Any], asked: Any = 1) -> Lap:
    """Return a lap that calls `call(asked)`."""

    async def lap(calls: int) -> None:
        for _ in repeat(None, calls):
            call(asked)

    return lap


def refused(call: Call) -> Lap:
    """Return a lap that awaits `call(1)` and catches what it raises."""

    async def lap(calls: int) -> None:
        for _ in repeat(None, calls):
            try:  # noqa: SIM105  `suppress` would be timed too
                await call(1)
            except Exception:  # noqa: BLE001, S110  the refusal is what is timed
                pass

    return lap


async def _timed(subject: Subject, calls: int) -> tuple[int, int]:
    """Run one lap in a task with an empty context, and return CPU and wall nanoseconds.

    Context variables that one contender leaves behind would make those of the others slower for good.
    """
    return await asyncio.create_task(_lap(subject, calls), context=contextvars.Context())


async def _lap(subject: Subject, calls: int) -> tuple[int, int]:
    """Run one lap.

    The turn of the loop at the end is part of the lap: whoever left cancelled timers or finished tasks behind
    pays for clearing them.
    """
    await asyncio.sleep(0)
    gc.collect()
    gc.disable()
    try:
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        await subject.lap(calls)
        await asyncio.sleep(0)
        return time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
    finally:
        gc.enable()


async def _calls_that_fill(subject: Subject, lap: float) -> int:
    """Return how many calls take about `lap` seconds, by doubling until a tenth of it is reached."""
    calls, most = _SMALLEST, subject.most or 1_000_000
    while calls < most:
        cpu, _ = await _timed(subject, calls)
        if cpu > lap * 1e8:
            return max(_SMALLEST, min(most, int(calls * lap * 1e9 / cpu)))
        calls *= 2
    return most


async def interleave(
    subjects: Sequence[Subject], plan: Plan, tick: Callable[[], None]
) -> tuple[dict[str, Timing], dict[str, str]]:
    """Time all `subjects` and return their timings and, for those that raised, the error, by name.

    A subject that raises leaves the run; the others go on. `tick` is called once a round.
    """
    calls: dict[str, int] = {}
    failed: dict[str, str] = {}
    laps: dict[str, list[tuple[int, int]]] = {subject.name: [] for subject in subjects}
    for subject in subjects:
        try:
            calls[subject.name] = await _calls_that_fill(subject, plan.lap)
        except Exception as error:  # noqa: BLE001  a broken contender becomes a line in the table
            failed[subject.name] = describe(error)
    for number in range(plan.rounds):
        running = [subject for subject in subjects if subject.name not in failed]
        shift = number % max(1, len(running))
        for subject in running[shift:] + running[:shift]:
            try:
                laps[subject.name].append(await _timed(subject, calls[subject.name]))
            except Exception as error:  # noqa: BLE001
                failed[subject.name] = describe(error)
        tick()
    return {name: _timing(laps[name], calls[name]) for name in calls if name not in failed}, failed


def _timing(laps: list[tuple[int, int]], calls: int) -> Timing:
    cpu, wall = (tuple(ns / calls for ns in column) for column in zip(*laps, strict=True))
    return Timing(cpu=cpu, wall=wall, calls_per_lap=calls)


def describe(error: BaseException) -> str:
    """Write an error as one short line, without the path of a file."""
    text = _PLACE.sub("", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text[:100]}" if text else type(error).__name__
