"""Measures functions, blocks and routes all the time, the event loop and the process too, and profiles on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, overload

from seawall.core import SYSTEM_CLOCK, Clock, Events, Health, OptionError
from seawall.core.options import number, one_of
from seawall.profiling.advice import Recommendation, recommend
from seawall.profiling.block import Block
from seawall.profiling.errors import ProfileRunningError
from seawall.profiling.memory import profile_memory
from seawall.profiling.process import ProcessFigures, ProcessWatch
from seawall.profiling.series import KEPT, Kind, Series, Statistics
from seawall.profiling.stalls import Stall, StallWatch
from seawall.profiling.wrapping import kind_of, wrapped

F = TypeVar("F", bound=Callable[..., Any])

OTHER = "(other)"
"""The name under which names beyond the bound are counted."""
SHORTEST, LONGEST = 0.1, 60.0
"""The seconds that a profile may take."""
_SERVER_ERROR = 500
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ServedLike(Protocol):
    """A request that was served; `seawall.web.layer.Served` is one."""

    @property
    def method(self) -> str:
        """As it was sent."""
        ...

    @property
    def route(self) -> str:
        """The template of the route that took it."""
        ...

    @property
    def status(self) -> int:
        """The answer's status."""
        ...

    @property
    def seconds(self) -> float:
        """Until the answer was through."""
        ...


class Profiler:
    """The statistics of what is measured, what holds the event loop, and profiles of CPU and memory. A part.

        profiler = Profiler()

        @profiler.measured
        async def report(campaign): ...

        with profiler.measuring("render"): ...

    Statistics are kept from the start, of any thread; the event loop and the process are looked at while it is entered.
    most_names: so many names have statistics of their own, others are counted as `(other)`. stall_after: seconds from
    which the loop counts as stalled.
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: Events | None = None,
        stall_after: float = 0.1,
        most_names: int = 1000,
    ) -> None:
        number("Profiler", "most_names", most_names, at_least=1, integer=True)
        self.name = "profiler"
        self.running = True
        """Whether it measures; changed by `start` and `stop`."""
        self.now = clock.monotonic
        self.profiling: str | None = None
        """The profile under way."""
        self._profile_ends = 0.0
        self._most_names = most_names
        # Functions hold on to their series, what else is measured looks its up.
        self._functions: dict[str, Series] = {}
        self._names: dict[str, Series] = {}
        self._routes: dict[tuple[str, str], Series] = {}
        self._other = Series(OTHER, Kind.RECORDED)
        self._changing = threading.Lock()
        self._watch = StallWatch(stall_after=stall_after, clock=clock, events=events)
        self._process = ProcessWatch(clock=clock)
        self._entered = False
        self._before: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        self._entered = True
        if self.running:
            self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        self._watch.stop()
        self._process.stop()

    async def check(self) -> Health:
        """Degraded for a minute after the event loop was held for a second or longer."""
        return await self._watch.check()

    def start(self) -> None:
        """Measure. While it is entered, call it on the event loop."""
        self._count_rest()
        self.running = True
        if self._entered:
            self._watch.start()
            self._process.start()

    def stop(self) -> None:
        """Measure nothing any more, and keep what is known; a measured call then costs one truth test."""
        self._count_rest()
        self.running = False
        self._watch.stop()
        self._process.stop()

    def reset(self) -> None:
        """Forget all that was measured."""
        self._count_rest()
        with self._changing:
            for series in (*self._functions.values(), self._other):
                series.reset()
            self._names.clear()
            self._routes.clear()
        self._watch.clear()
        self._process.clear()
        if self.running:
            # The first look of the new time is now.
            self._process.stop()
            self.start()

    @overload
    def measured(self, name: F, /) -> F: ...
    @overload
    def measured(self, name: str, /) -> Callable[[F], F]: ...
    def measured(self, name: Any, /) -> Any:
        """Measure the calls of a function: `@profiler.measured`, or `@profiler.measured("name")`.

        For `async def`, `def` and both kinds of generator, which they stay. A generator's time is what it takes itself,
        without whoever reads it. Put it below `@staticmethod`, `@classmethod` and `@property`, and below a route.
        """
        if isinstance(name, str):
            if not name.strip():
                raise OptionError("Profiler.measured", "name", name, "a string that is not blank")
            return lambda function: self._measured(function, name)
        return self._measured(name, None)

    def measuring(self, name: str) -> Block:
        """Measure a block, also one that awaits: `with profiler.measuring("render"): ...`."""
        return Block(self, lambda: self._names.get(name) or self._named(name, Kind.BLOCK))

    def record(self, name: str, seconds: float) -> None:
        """Something called `name` took so long."""
        if not self.running:
            return
        if not 0.0 <= seconds < 1e9:  # noqa: PLR2004 - neither infinite nor no number
            raise OptionError("Profiler.record", "seconds", seconds, "a number at least 0")
        series = self._names.get(name) or self._named(name, Kind.RECORDED)
        took = series.took
        took.append(seconds)
        if len(took) >= KEPT:
            series.fold()

    def served(self, requests: Sequence[ServedLike]) -> None:
        """Count requests of one method, route and status, each as `GET /campaigns/{id}`."""
        if self.running:
            first = requests[0]
            series = self._routes.get((first.method, first.route)) or self._route(first)
            series.took.extend([served.seconds for served in requests])
            if len(series.took) >= KEPT:
                series.fold()
            if first.status >= _SERVER_ERROR:
                series.failed(len(requests))

    def before_statistics(self, function: Callable[[], None]) -> None:
        """Have `function` called first when statistics are read or forgotten, or begin or end: to count what waits."""
        self._before.append(function)

    def statistics(self) -> list[Statistics]:
        """What is known of each name that was called, that which took most time in sum first."""
        self._count_rest()
        with self._changing:
            known = [*self._functions.values(), *self._names.values(), self._other]
        found = [statistics for series in known if (statistics := series.statistics()) is not None]
        return sorted(found, key=lambda statistics: -statistics.total)

    def stalls(self) -> list[Stall]:
        """What has held the event loop, that which took most first."""
        return self._watch.list()

    def process(self) -> ProcessFigures:
        """What the process uses."""
        return self._process.figures()

    def recommendations(self) -> list[Recommendation]:
        """What to look at first."""
        return recommend(self.statistics(), self.process(), self.stalls())

    async def cpu(self, seconds: float, form: str = "html") -> str:
        """Profile the thread of the running event loop for 0.1 to 60 `seconds`; it ends when cancelled.

        form: `html` for a flame graph, `speedscope` for speedscope.app. Raises `ProfileRunningError` while there is
        another profile, and `MissingExtraError` where pyinstrument isn't installed.
        """
        one_of("Profiler.cpu", "format", form, ("html", "speedscope"))
        with self._one_profile("a CPU profile", "Profiler.cpu", seconds):
            from seawall.profiling.pyinstrument import profile_cpu  # noqa: PLC0415 - the telemetry extra

            made = await profile_cpu(seconds)
            return await asyncio.to_thread(lambda: made().html() if form == "html" else made().speedscope())

    async def memory(self, seconds: float, form: str = "html") -> str:
        """Trace what is allocated in 0.1 to 60 `seconds` and stays; it ends when cancelled.

        form: `html` for a flame graph, `json` for the lines that grew most. Raises `ProfileRunningError` while there is
        another profile. All that allocates is slower meanwhile.
        """
        one_of("Profiler.memory", "format", form, ("html", "json"))
        with self._one_profile("a memory profile", "Profiler.memory", seconds):
            made = await profile_memory(seconds)
            return await asyncio.to_thread(lambda: made().html() if form == "html" else made().json())

    @contextmanager
    def _one_profile(self, what: str, owner: str, seconds: float) -> Iterator[None]:
        number(owner, "seconds", seconds, at_least=SHORTEST, at_most=LONGEST)
        if self.profiling is not None:
            raise ProfileRunningError(self.profiling, max(1.0, self._profile_ends - self.now()))
        self.profiling, self._profile_ends = what, self.now() + seconds
        try:
            yield
        finally:
            self.profiling = None

    def _measured(self, function: Any, name: str | None) -> Any:
        owner = "Profiler.measured"
        if isinstance(function, type) or not callable(function):
            raise OptionError(owner, "function", function, "a function; @staticmethod and such go above it")
        if name is None:
            name = f"{function.__module__}.{function.__qualname__}" if hasattr(function, "__qualname__") else None
        if name is None:
            raise OptionError(owner, "name", None, f"a string, as {function!r} has no name of its own")
        with self._changing:
            # Functions keep theirs for good, so one that was only looked up until now is theirs from here on.
            series = self._functions.get(name) or self._names.pop(name, None)
            if series is not None:
                self._functions[name] = series
            else:
                series = self._other
                if self._room():
                    series = self._functions[name] = Series(name, kind_of(function))
        return wrapped(function, series, self)

    def _named(self, name: str, kind: Kind) -> Series:
        if not isinstance(name, str) or not name.strip():
            raise OptionError("Profiler", "name", name, "a string that is not blank")
        with self._changing:
            series = self._functions.get(name) or self._names.get(name)
            if series is None:
                if not self._room():
                    return self._other
                series = self._names[name] = Series(name, kind)
            return series

    def _route(self, served: ServedLike) -> Series:
        # Whoever sends a request may make up a method.
        method = served.method if served.method in _METHODS else "OTHER"
        series = self._named(f"{method} {served.route}", Kind.ROUTE)
        if series is not self._other and method == served.method:
            self._routes[method, served.route] = series
        return series

    def _count_rest(self) -> None:
        for function in self._before:
            function()

    def _room(self) -> bool:
        return len(self._functions) + len(self._names) < self._most_names
