"""Warming: calling cached functions before anybody asks, most important ones first.

    warmer = Warmer(cache)

    @warmer.strategy("podcasts of all tenants", priority=10, every=300.0)
    async def all_podcasts():
        for tenant_id in await tenants():
            yield podcasts(tenant_id)

    async with cache, warmer: ...               # runs behind the service's back
    report = await warmer.run()                 # or now

A run of a strategy:

    waiting ──first slot──▶ running ──all jobs done──▶ completed
       │                       ├──it raised, or no job succeeded──▶ failed
       └───────────────────────┴──stopped, or nobody waits any more──▶ cancelled
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from seawall.cache import events as facts
from seawall.cache.flight import Flight, StillFlyingError
from seawall.cache.slots import Slots
from seawall.cache.warming_report import StrategyStatistics, WarmingReport, WarmingState
from seawall.core import Health, OptionError, Status, deadline
from seawall.core.options import number

if TYPE_CHECKING:
    from seawall.cache.cache import Cache

Strategy = Callable[[], Any]
"""An async generator function that yields coroutines such as `podcasts(42)`, or a function, `async` or not, that
returns an iterable of them, or that does the work itself and returns None."""
S = TypeVar("S", bound=Strategy)
JITTER = 0.1
"""The share of `every` by which a run may come sooner or later, so that processes don't all warm at once."""


@dataclass
class _Run:
    """The progress of one run."""

    state: WarmingState = WarmingState.WAITING
    done: int = 0
    failed: int = 0
    total: int | None = None
    began: float = 0.0
    ended: float | None = None
    started: datetime | None = None
    last_error: str | None = None


@dataclass
class _Entry:
    name: str
    strategy: Strategy
    priority: int
    every: float | None
    at_start: bool
    run: _Run = field(default_factory=_Run)
    flight: Flight[None] | None = None


class Warmer:
    """Warms a cache by strategies: in the background after its start, every so often, and on demand.

    concurrency: how many jobs run at once, over all strategies; the strategy with the highest priority takes a free
    slot first, and one that does not use them all leaves the rest to the others.

    A job that fails is counted and reported, the others go on; so is a strategy. A strategy that is started while it
    runs is joined. Entering it returns at once; leaving it cancels what runs and waits for its end.
    """

    def __init__(self, cache: Cache, *, concurrency: int = 4, name: str = "cache-warming") -> None:
        number("Warmer", "concurrency", concurrency, at_least=1, integer=True)
        self.name = name
        self.cache = cache
        self._entries: dict[str, _Entry] = {}
        self._slots = Slots(concurrency)
        self._background: set[asyncio.Task[None]] = set()
        self._runs: set[asyncio.Task[Any]] = set()
        self._entered = False

    def add(
        self, name: str, strategy: Strategy, *, priority: int = 0, every: float | None = None, at_start: bool = True
    ) -> None:
        """Warm by `strategy`, see `Strategy`. priority: higher ones first. every: run it again so many seconds after
        its last run, a tenth more or less. at_start: run it when the warmer is entered.

        Let jobs call cached functions: `podcasts(42)` loads what is missing, `podcasts.refresh(42)` loads in any
        case, which is what a strategy with `every` needs if its period is shorter than the time to live.
        """
        number("Warmer.add", "priority", priority, integer=True)
        if every is not None:
            number("Warmer.add", "every", every, above=0)
        if name in self._entries:
            raise OptionError("Warmer.add", "name", name, "a name that no other strategy has")
        entry = self._entries[name] = _Entry(name, strategy, priority, every, at_start)
        if self._entered:
            self._begin(entry)

    def strategy(
        self, name: str, *, priority: int = 0, every: float | None = None, at_start: bool = True
    ) -> Callable[[S], S]:
        """`add`, as a decorator."""

        def add(function: S) -> S:
            self.add(name, function, priority=priority, every=every, at_start=at_start)
            return function

        return add

    async def run(self, name: str | None = None) -> WarmingReport:
        """Run the strategy `name`, or all, and wait until they end, or until the caller's deadline.

        What this call started is cancelled when the deadline passes or the caller is, unless somebody else waits for
        it too; what was under way goes on. Raises `OptionError` for an unknown name, and nothing else.
        """
        if name is not None and name not in self._entries:
            raise OptionError("Warmer.run", "name", name, ", ".join(map(repr, self._entries)) or "none: add one first")
        clock = self.cache.clock
        began = clock.monotonic()
        entries = self._sorted() if name is None else [self._entries[name]]
        runs = [(entry, self._start(entry), entry.run) for entry in entries]
        left = deadline.remaining(clock=clock)
        ended = await asyncio.gather(*(flight.join(left) for _, flight, _ in runs), return_exceptions=True)
        for error in ended:
            # A run that was stopped, or that goes on without us, says so in its state.
            if isinstance(error, BaseException) and not isinstance(error, StillFlyingError | asyncio.CancelledError):
                raise error
        return WarmingReport(
            seconds=clock.monotonic() - began, strategies=tuple(self._statistics(entry, run) for entry, _, run in runs)
        )

    def statistics(self) -> tuple[StrategyStatistics, ...]:
        """Every strategy's progress at this moment, the highest priority first."""
        return tuple(self._statistics(entry, entry.run) for entry in self._sorted())

    async def __aenter__(self) -> Self:
        self._entered = True
        for entry in self._sorted():
            self._begin(entry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        ending: set[asyncio.Task[Any]] = {*self._background, *self._runs}
        for entry in self._entries.values():
            if entry.flight is not None and (task := entry.flight.cancel()) is not None:
                ending.add(task)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def check(self) -> Health:
        """Degraded while the last run of a strategy failed."""
        failed = [entry.name for entry in self._sorted() if entry.run.state is WarmingState.FAILED]
        if failed:
            return Health(status=Status.DEGRADED, message=f"failed to warm: {', '.join(failed)}")
        return Health(status=Status.HEALTHY)

    def _sorted(self) -> list[_Entry]:
        return sorted(self._entries.values(), key=lambda entry: -entry.priority)

    def _begin(self, entry: _Entry) -> None:
        if entry.at_start or entry.every is not None:
            task = asyncio.get_running_loop().create_task(self._keep_warm(entry))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _keep_warm(self, entry: _Entry) -> None:
        due = entry.at_start
        while True:
            if due:
                await asyncio.gather(self._start(entry).join(), return_exceptions=True)
            if entry.every is None:
                return
            await asyncio.sleep(entry.every * random.uniform(1 - JITTER, 1 + JITTER))
            due = True

    def _start(self, entry: _Entry) -> Flight[None]:
        """The run of `entry` under way, or a new one."""
        if entry.flight is not None:
            return entry.flight
        run = entry.run = _Run(began=self.cache.clock.monotonic())
        flight = entry.flight = Flight[None]()

        def done() -> None:
            if run.ended is None:
                run.ended = self.cache.clock.monotonic()
            if run.state in {WarmingState.WAITING, WarmingState.RUNNING}:
                run.state = WarmingState.CANCELLED
            if entry.flight is flight:
                entry.flight = None

        flight.start(lambda: self._warm(entry, run), done)
        return flight

    async def _warm(self, entry: _Entry, run: _Run) -> None:
        this: asyncio.Task[Any] | None = asyncio.current_task()
        jobs: set[asyncio.Task[None]] = set()
        if this is not None:
            self._runs.add(this)
            this.add_done_callback(self._runs.discard)
        failed = False
        try:
            try:
                await self._hand_out(entry, run, jobs)
            except Exception as error:  # noqa: BLE001 - whatever a strategy raises must not end the others
                failed = True
                self._failed(entry, run, error)
            if jobs:
                await asyncio.wait(jobs)
        finally:
            # Cancelled, or nothing is left of them.
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        failed = failed or (run.failed > 0 and not run.done)
        run.state = WarmingState.FAILED if failed else WarmingState.COMPLETED
        run.ended = self.cache.clock.monotonic()
        events = self.cache.events
        if not failed and events.listeners:
            events.emit(
                facts.CacheWarmed(
                    cache=self.cache.name,
                    strategy=entry.name,
                    done=run.done,
                    failed=run.failed,
                    seconds=run.ended - run.began,
                )
            )

    async def _hand_out(self, entry: _Entry, run: _Run, jobs: set[asyncio.Task[None]]) -> None:
        """Start the jobs of `entry`, each in a slot. The next one is asked for when there is a slot for it."""
        slots = self._slots
        handed_out = 0

        def ended(task: asyncio.Task[None]) -> None:
            jobs.discard(task)
            slots.release()

        await slots.acquire(entry.priority)
        run.state = WarmingState.RUNNING
        run.began, run.started = self.cache.clock.monotonic(), self.cache.clock.now()
        held = True
        try:
            async with aclosing(_jobs(entry.strategy, run)) as found:
                async for job in found:
                    handed_out += 1
                    task = asyncio.get_running_loop().create_task(self._do(entry, run, job))
                    jobs.add(task)
                    task.add_done_callback(ended)
                    held = False
                    await slots.acquire(entry.priority)
                    held = True
            run.total = handed_out
        finally:
            if held:
                slots.release()

    async def _do(self, entry: _Entry, run: _Run, job: Any) -> None:
        task = asyncio.current_task()
        try:
            if not inspect.isawaitable(job):
                message = f"strategy {entry.name!r} gave a {type(job).__name__}, not a coroutine such as podcasts(42)"
                raise TypeError(message)  # noqa: TRY301 - it counts like what a job raises
            await job
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            run.failed += 1
            self._failed(entry, run, error)
        else:
            run.done += 1

    def _failed(self, entry: _Entry, run: _Run, error: BaseException) -> None:
        run.last_error = type(error).__name__
        events = self.cache.events
        if events.listeners:
            events.emit(facts.CacheWarmingFailed(cache=self.cache.name, strategy=entry.name, error=error))

    def _statistics(self, entry: _Entry, run: _Run) -> StrategyStatistics:
        over = run.ended if run.ended is not None else self.cache.clock.monotonic()
        return StrategyStatistics(
            name=entry.name,
            priority=entry.priority,
            every=entry.every,
            state=run.state,
            done=run.done,
            failed=run.failed,
            total=run.total,
            seconds=0.0 if run.started is None else over - run.began,
            started=run.started,
            last_error=run.last_error,
        )


async def _jobs(strategy: Strategy, run: _Run) -> AsyncGenerator[Any]:
    """What a strategy of any shape gives, one after the other; what is not taken is closed."""
    found = strategy()
    if inspect.isawaitable(found):
        found = await found
    if found is None:
        return
    if hasattr(found, "__len__"):
        run.total = len(found)
    if hasattr(found, "__aiter__"):
        try:
            async for job in found:
                yield job
        finally:
            if hasattr(found, "aclose"):
                await found.aclose()
    else:
        rest = iter(found)
        try:
            for job in rest:
                yield job
        finally:
            if hasattr(rest, "close"):
                rest.close()
            for job in rest:
                _close(job)


def _close(job: Any) -> None:
    if inspect.iscoroutine(job):
        job.close()
