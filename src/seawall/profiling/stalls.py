"""What holds the event loop: a thread looks at what the loop does while it is late."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import thread_time
from types import TracebackType
from typing import Any, Self

from seawall.core import SYSTEM_CLOCK, Clock, Events, Health, Status
from seawall.core.options import number
from seawall.profiling.events import LoopStalled
from seawall.profiling.stack import Call, below_loop, stack_of

_logger = logging.getLogger("seawall.profiling")

MOST_STACKS = 50
"""Stalls are kept by what stalled, this many; the one that was seen longest ago makes room."""
MOST_CALLS = 20
"""The innermost calls of a stack are kept."""
QUIET = 60.0
"""Seconds after an event in which the same functions cause none."""
AT_ONCE = 1.0
"""Seconds after an event in which there is none of other functions either."""
HANGS = 10.0
"""Seconds after which a stall that goes on is logged: the loop itself may never tell."""
_UNSEEN = (Call("not seen: the interpreter was held all the time, or the process did not run", "<unknown>", 0),)


@dataclass(frozen=True, kw_only=True)
class Stall:
    """The stalls with the same functions on the stack. Durations are in seconds.

    cpu: of `total`, how long the loop's thread computed. stack: of the longest one, outermost first.
    """

    stack: tuple[str, ...]
    count: int
    longest: float
    total: float
    cpu: float
    last: datetime

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "stack": list(self.stack),
            "count": self.count,
            "longest": round(self.longest, 6),
            "total": round(self.total, 6),
            "cpu": round(self.cpu, 6),
            "last": self.last.isoformat(),
        }


@dataclass(slots=True)
class _Seen:
    stack: tuple[str, ...]
    last: datetime
    count: int = 0
    longest: float = 0.0
    total: float = 0.0
    cpu: float = 0.0
    unreported: int = 0
    quiet_until: float = 0.0


class Stalls:
    """The stalls of one loop, told apart by the functions on their stacks. Pure; for one thread."""

    def __init__(self) -> None:
        self._seen: dict[tuple[tuple[str, str], ...], _Seen] = {}
        self._quiet_until = float("-inf")

    def add(self, calls: Sequence[Call], *, seconds: float, cpu: float, at: float, now: datetime) -> LoopStalled | None:
        """One has ended. Returns what to report of it, None when enough was reported lately.

        at: the monotonic time. now: the time of day.
        """
        calls = calls[-MOST_CALLS:]
        # Not the lines: a loop is seen on another one every time.
        key = tuple((call.file, call.function) for call in calls)
        seen = self._seen.pop(key, None)
        if seen is None:
            if len(self._seen) >= MOST_STACKS:
                del self._seen[next(iter(self._seen))]
            seen = _Seen(tuple(map(str, calls)), now, quiet_until=float("-inf"))
        self._seen[key] = seen
        if seconds > seen.longest:
            seen.longest, seen.stack = seconds, tuple(map(str, calls))
        seen.last = now
        seen.count += 1
        seen.unreported += 1
        seen.total += seconds
        seen.cpu += cpu
        if at < max(seen.quiet_until, self._quiet_until):
            return None
        seen.quiet_until, self._quiet_until = at + QUIET, at + AT_ONCE
        count, seen.unreported = seen.unreported, 0
        return LoopStalled(seconds=seconds, cpu=cpu, stack=tuple(map(str, calls)), count=count)

    def list(self) -> list[Stall]:
        """Those that took most, first."""
        found = [
            Stall(
                stack=seen.stack, count=seen.count, longest=seen.longest, total=seen.total, cpu=seen.cpu, last=seen.last
            )
            for seen in self._seen.values()
        ]
        return sorted(found, key=lambda stall: -stall.total)

    def clear(self) -> None:
        """Forget them."""
        self._seen.clear()


class StallWatch:
    """Notices when the event loop is held for `stall_after` seconds or longer, and by what. A part.

    A timer on the loop notes that it runs, twice in `stall_after`. When it is late, a thread looks at the stack of the
    loop's thread, every `stall_after` / 2 and ever less often; what was seen most is what stalled. While the loop runs,
    both sleep nearly all the time.
    """

    def __init__(self, *, stall_after: float = 0.1, clock: Clock = SYSTEM_CLOCK, events: Events | None = None) -> None:
        number("StallWatch", "stall_after", stall_after, at_least=0.01, at_most=60)
        self.name = "event loop"
        self.stall_after = stall_after
        self._clock = clock
        self._events = events or Events()
        self._period = stall_after / 2
        self._stalls = Stalls()
        self._long: tuple[float, float] | None = None
        self._samples: list[tuple[Call, ...]] = []
        self._hanging = False
        self._due = self._cpu = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._thread_id = 0
        self._ended = threading.Event()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def check(self) -> Health:
        """Degraded for a minute after a stall of a second or longer."""
        if self._long is not None:
            at, seconds = self._long
            ago = self._clock.monotonic() - at
            if ago < QUIET:
                message = f"the event loop was held for {seconds:.1f} s, {ago:.0f} s ago"
                return Health(status=Status.DEGRADED, message=message)
        return Health(status=Status.HEALTHY)

    def start(self) -> None:
        """Watch the running loop; nothing where one is watched already."""
        if self._timer is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._ended = threading.Event()
        self._samples, self._hanging = [], False
        self._again()
        threading.Thread(target=self._watch, args=(self._ended,), name="seawall-stalls", daemon=True).start()

    def stop(self) -> None:
        """Watch no more. The thread ends by itself, soon: nobody waits for it."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def list(self) -> list[Stall]:
        """What has held the loop, that which took most first."""
        return self._stalls.list()

    def clear(self) -> None:
        """Forget what has held the loop."""
        self._stalls.clear()

    def _again(self) -> None:
        assert self._loop is not None  # noqa: S101 - `start` has set it
        self._cpu = thread_time()
        self._due = self._clock.monotonic() + self._period
        self._timer = self._loop.call_later(self._period, self._beat)

    def _beat(self) -> None:
        now = self._clock.monotonic()
        late = now - self._due
        if late >= self.stall_after:
            self._stalled(late, now)
        self._again()

    def _stalled(self, seconds: float, now: float) -> None:
        # One step, as the thread may append now; what it appends later, it takes back.
        samples, self._samples = self._samples, []
        self._hanging = False
        stack = Counter(tuple((call.file, call.function) for call in sample) for sample in samples).most_common(1)
        calls: Sequence[Call] = _UNSEEN
        if stack:
            key = stack[0][0]
            calls = next(sample for sample in samples if tuple((call.file, call.function) for call in sample) == key)
        if seconds >= 1.0:
            self._long = (now, seconds)
        cpu = min(seconds, thread_time() - self._cpu)
        event = self._stalls.add(calls, seconds=seconds, cpu=cpu, at=now, now=self._clock.now())
        if event is not None and self._events.listeners:
            self._events.emit(event)

    def _watch(self, ended: threading.Event) -> None:
        wait = self._period
        while not ended.wait(wait):
            wait = self._look()

    def _look(self) -> float:
        """Look once, from the thread. Returns the seconds until it is worth to look again."""
        due, samples = self._due, self._samples
        late = self._clock.monotonic() - due
        if late < self.stall_after:
            return self.stall_after - late
        # The innermost are enough; a stack may be very deep.
        calls = tuple(below_loop(stack_of(sys._current_frames().get(self._thread_id)))[-MOST_CALLS:])
        if calls and self._due == due:
            samples.append(calls)
            if late >= HANGS and not self._hanging:
                self._hanging = True
                _logger.warning("the event loop is held, for %.0f s by now: %s", late, " > ".join(map(str, calls)))
        return max(self._period, late / 8)
