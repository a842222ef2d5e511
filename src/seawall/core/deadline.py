"""The deadline: the point in time by which the work at hand must be done, known to everything beneath it.

    with deadline.within(2.0):
        ...                       # every Timeout, Retry, Bulkhead, query, load and job in here obeys it
        deadline.remaining()      # 1.93…

It is a context variable, so tasks started inside inherit it. It can only get tighter: a longer one inside a
shorter one changes nothing. It travels between services as the time that remains (clocks differ), in the
header `Request-Timeout`, in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from seawall.core.clock import SYSTEM_CLOCK, Clock
from seawall.core.options import number

HEADER = "request-timeout"
"""The header that carries the remaining seconds from service to service."""

NEVER = float("inf")

current: ContextVar[float] = ContextVar("seawall_deadline", default=NEVER)
"""The deadline as seconds on the monotonic clock, `NEVER` where there is none."""


@contextmanager
def within(seconds: float, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[None]:
    """Set the deadline for this block `seconds` from now, unless an earlier one is in force."""
    number("deadline.within", "seconds", seconds, at_least=0)
    at = clock.monotonic() + seconds
    token = current.set(min(at, current.get()))
    try:
        yield
    finally:
        current.reset(token)


@contextmanager
def shielded() -> Iterator[None]:
    """Forget the deadline in this block: for cleaning up, and for work that outlives the request."""
    token = current.set(NEVER)
    try:
        yield
    finally:
        current.reset(token)


def remaining(*, clock: Clock = SYSTEM_CLOCK) -> float | None:
    """Seconds until the deadline, 0.0 when it has passed, None where there is none."""
    at = current.get()
    return None if at == NEVER else max(0.0, at - clock.monotonic())


def bounded(seconds: float | None, *, clock: Clock = SYSTEM_CLOCK) -> float | None:
    """The shorter of `seconds` and what remains; None where neither bounds."""
    left = remaining(clock=clock)
    if left is None or seconds is None:
        return seconds if left is None else left
    return min(seconds, left)


def to_header(*, clock: Clock = SYSTEM_CLOCK) -> str | None:
    """The header's value for an outgoing request, None where there is no deadline."""
    left = remaining(clock=clock)
    return None if left is None else f"{left:.3f}"


def from_header(value: str | None) -> float | None:
    """The seconds in a header's value; None where it is absent or no plain decimal number."""
    return float(value) if value is not None and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) else None
