"""The only source of time. Durations and points in time are float seconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What Seawall asks of a clock. Everything that needs time takes one as `clock=`."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes backwards."""
        ...

    def now(self) -> datetime:
        """The time of day, with time zone UTC."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Block this thread for `seconds`. Coroutines use `asyncio.sleep` instead."""
        ...


class SystemClock:
    """The clock of this machine."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    def now(self) -> datetime:
        """The time of day, with time zone UTC."""
        return datetime.now(UTC)

    def __repr__(self) -> str:
        return "SystemClock()"


SYSTEM_CLOCK = SystemClock()
