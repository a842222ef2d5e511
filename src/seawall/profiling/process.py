"""What the process uses, and how its memory grows."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

from seawall.core import SYSTEM_CLOCK, Clock

EVERY = 10.0
"""Seconds between two looks."""
KEPT = 180
"""Looks that are kept: half an hour."""


@dataclass(frozen=True, kw_only=True)
class ProcessFigures:
    """What the process uses.

    over: seconds that were looked at, half an hour at most. cpu: seconds of CPU time since the process began.
    cpu_share: the same over `over`, as a share of one core. memory: resident bytes, `memory_before` as `over` began.
    growth: bytes a minute in which memory grows, by the straight line nearest to all looks. growing: whether it grows
    all the time: in each third of `over` there was less than in all of the next. None where it isn't known yet.
    """

    over: float
    cpu: float
    cpu_share: float | None
    memory: int
    memory_before: int
    growth: float | None
    growing: bool
    threads: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


class _Look(NamedTuple):
    at: float
    cpu: float
    memory: int


class ProcessWatch:
    """Looks at the process now and then, while started on an event loop."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._looks: deque[_Look] = deque(maxlen=KEPT)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look every ten seconds, from now on; nothing where that is done already."""
        if self._timer is None:
            self._looks.clear()
            self._again(asyncio.get_running_loop())

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def clear(self) -> None:
        """Forget what was seen."""
        self._looks.clear()

    def figures(self) -> ProcessFigures:
        """What it uses now."""
        return figures_of([*self._looks, self._look()], threads=threading.active_count())

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looks.append(self._look())
        self._timer = loop.call_later(EVERY, self._again, loop)

    def _look(self) -> _Look:
        return _Look(self._clock.monotonic(), process_time(), _resident())


def figures_of(looks: list[_Look], *, threads: int) -> ProcessFigures:
    """The figures of looks, the oldest first; at least one."""
    first, last = looks[0], looks[-1]
    over = last.at - first.at
    third = len(looks) // 3
    parts = [[look.memory for look in part] for part in (looks[:third], looks[third:-third], looks[-third:])]
    return ProcessFigures(
        over=over,
        cpu=last.cpu,
        cpu_share=(last.cpu - first.cpu) / over if over > 0 else None,
        memory=last.memory,
        memory_before=first.memory,
        growth=_slope(looks) * 60 if over > 0 else None,
        growing=third > 0 and max(parts[0]) < min(parts[1]) and max(parts[1]) < min(parts[2]),
        threads=threads,
    )


def _slope(looks: list[_Look]) -> float:
    """Bytes a second: least squares."""
    at = sum(look.at for look in looks) / len(looks)
    memory = sum(look.memory for look in looks) / len(looks)
    spread = sum((look.at - at) ** 2 for look in looks)
    return sum((look.at - at) * (look.memory - memory) for look in looks) / spread


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        # The most it ever was, which is all that other systems tell.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
