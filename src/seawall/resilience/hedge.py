"""Hedge: starts a second attempt when the first is slow, and takes whichever answers first."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
from collections import deque
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from typing import Any

from seawall.core import Clock, Events
from seawall.core.errors import OptionError
from seawall.core.options import number
from seawall.resilience import events as facts
from seawall.resilience.budget import RetryBudget
from seawall.resilience.policy import Policy
from seawall.resilience.weave import Face


@dataclass(frozen=True, kw_only=True, slots=True)
class HedgeStatistics:
    """`hedged` attempts started beside first ones and `won` by them; `delay` in seconds now, None while unknown."""

    name: str
    hedged: int
    won: int
    delay: float | None


class Durations:
    """The last 100 durations, and a quantile of them, computed anew every tenth. A machine."""

    LEAST = 20

    __slots__ = ("_last", "_quantile", "_since", "value")

    def __init__(self, quantile: float) -> None:
        self._quantile = quantile
        self._last: deque[float] = deque(maxlen=100)
        self._since = 0
        self.value: float | None = None

    def add(self, seconds: float) -> None:
        """Note a duration."""
        self._last.append(seconds)
        self._since += 1
        if len(self._last) >= self.LEAST and (self.value is None or self._since >= 10):  # noqa: PLR2004
            ordered = sorted(self._last)
            self.value = ordered[min(len(ordered) - 1, math.ceil(self._quantile * len(ordered)) - 1)]
            self._since = 0


class Hedge(Policy):
    """Starts another attempt when none has answered for `delay` seconds; the first success wins.

    delay: seconds before each further attempt; or leave it out and give
    quantile: hedge calls that take longer than this share of the last 100 (0.95: about one in twenty). Until
        20 calls are known nothing is hedged.
    attempts: in all, the first included.
    budget: shared with the retries, so that hedges never storm a slow dependency.

    Only for calls that may happen twice. A failed attempt leaves the answer to those still under way; when
    none is, its error is raised. The losers are cancelled, not awaited; a cancelled caller cancels and awaits
    all. An attempt runs in a task of its own and sees a copy of the context. Around a `def` attempts run in
    threads, where a loser can't be stopped: its result is dropped.
    After Dean and Barroso, "The Tail at Scale" (2013).
    """

    repeats = True

    def __init__(
        self,
        *,
        delay: float | None = None,
        quantile: float | None = None,
        attempts: int = 2,
        budget: RetryBudget | None = None,
        name: str | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        if (delay is None) == (quantile is None):
            raise OptionError("Hedge", "delay", delay, "seconds, or None together with a quantile")
        if delay is not None:
            number("Hedge", "delay", delay, at_least=0)
        if quantile is not None:
            number("Hedge", "quantile", quantile, at_least=0.5, at_most=0.999)
        number("Hedge", "attempts", attempts, at_least=2, at_most=10, integer=True)
        self._fixed = delay
        self._durations = None if quantile is None else Durations(quantile)
        self.attempts = attempts
        self.budget = budget
        self._losers: set[asyncio.Future[Any]] = set()
        self._threads: futures.ThreadPoolExecutor | None = None
        self._hedged = 0
        self._won = 0

    def statistics(self) -> HedgeStatistics:
        """A frozen picture of this moment."""
        return HedgeStatistics(name=self.name, hedged=self._hedged, won=self._won, delay=self._delay())

    def around(self, call: Callable[..., Any], face: Face) -> Callable[..., Any]:
        """A race of several runs of `call`."""
        if face.kind != "call":
            message = f"{self!r} can't race generators: an item handed out can't be taken back; hedge the call inside"
            raise TypeError(message)
        if face.awaits:

            async def race(*args: Any, **kwargs: Any) -> Any:
                return await self._race(functools.partial(call, *args, **kwargs))

            return race

        if self._threads is None:
            self._threads = futures.ThreadPoolExecutor(max_workers=32, thread_name_prefix="seawall-hedge")

        def race_threads(*args: Any, **kwargs: Any) -> Any:
            return self._race_threads(functools.partial(call, *args, **kwargs))

        return race_threads

    async def _race(self, start: Callable[[], Any]) -> Any:
        task = await self._first(start)
        try:
            return task.result()
        finally:
            del task  # it holds the error, whose traceback holds this frame

    async def _first(self, start: Callable[[], Any]) -> asyncio.Future[Any]:
        """The first attempt to succeed, or the last one to fail."""
        begun = self._begin()
        attempts: list[asyncio.Future[Any]] = [asyncio.ensure_future(start())]
        most = self.attempts
        try:
            while True:
                delay = self._delay() if len(attempts) < most else None
                pending = [task for task in attempts if not task.done()]
                done, _ = await asyncio.wait(pending, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
                for nth, task in enumerate(attempts, 1):
                    if task in done and not task.cancelled() and task.exception() is None:
                        self._answered(nth, begun)
                        return task
                if len(done) == len(pending):
                    return next(task for task in attempts if task in done)
                if not done and self._may_hedge(len(attempts) + 1, delay):
                    attempts.append(asyncio.ensure_future(start()))
                elif not done:
                    most = len(attempts)  # no budget: wait for those under way
        except asyncio.CancelledError:
            for task in attempts:
                task.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)
            raise
        finally:
            for task in attempts:
                self._drop(task)

    def _race_threads(self, start: Callable[[], Any]) -> Any:
        future = self._first_in_threads(start)
        try:
            return future.result()
        finally:
            del future  # it holds the error, whose traceback holds this frame

    def _first_in_threads(self, start: Callable[[], Any]) -> futures.Future[Any]:
        begun = self._begin()
        assert self._threads is not None  # noqa: S101 - made with the first `def`
        submit = self._threads.submit
        attempts = [submit(contextvars.copy_context().run, start)]
        pending = set(attempts)
        most = self.attempts
        while True:
            delay = self._delay() if len(attempts) < most else None
            done, pending = futures.wait(pending, timeout=delay, return_when=futures.FIRST_COMPLETED)
            for nth, future in enumerate(attempts, 1):
                if future in done and future.exception() is None:
                    self._answered(nth, begun)
                    return future
            if not pending:
                return next(future for future in attempts if future in done)
            if not done and self._may_hedge(len(attempts) + 1, delay):
                attempts.append(submit(contextvars.copy_context().run, start))
                pending.add(attempts[-1])
            elif not done:
                most = len(attempts)

    def _begin(self) -> float:
        if self.budget is not None:
            self.budget.deposit()
        return self.clock.monotonic()

    def _delay(self) -> float | None:
        return self._fixed if self._durations is None else self._durations.value

    def _may_hedge(self, attempt: int, delay: float | None) -> bool:
        if self.budget is not None and not self.budget.withdraw():
            return False
        self._hedged += 1
        if self.events.listeners:
            self.events.emit(facts.CallHedged(policy=self.name, attempt=attempt, delay=delay or 0.0))
        return True

    def _answered(self, attempt: int, begun: float) -> None:
        if self._durations is not None:
            self._durations.add(self.clock.monotonic() - begun)
        if attempt > 1:
            self._won += 1
            if self.events.listeners:
                self.events.emit(facts.HedgeWon(policy=self.name, attempt=attempt))

    def _drop(self, task: asyncio.Future[Any]) -> None:
        """Cancel a loser and keep it until it has ended, so that its error is nobody's warning."""
        self._losers.add(task)
        task.add_done_callback(self._forget)
        task.cancel()

    def _forget(self, ended: asyncio.Future[Any]) -> None:
        self._losers.discard(ended)
        if not ended.cancelled():
            ended.exception()

    def __repr__(self) -> str:
        when = f"after {self._fixed:g} s" if self._fixed is not None else "after its slow quantile"
        return f"Hedge({self.attempts} attempts, {when})"
