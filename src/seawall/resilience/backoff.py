"""How long to wait between attempts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from seawall.core.clock import SYSTEM_CLOCK, Clock
from seawall.core.options import number, one_of

Jitter = Literal["full", "decorrelated", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """Exponentially growing delays, in seconds, spread so that callers who failed together don't return together.

    first: the delay before the second attempt.
    factor: each further delay grows by this much.
    longest: no delay is longer, and no `Retry-After` is honoured beyond it.
    jitter: `full` draws between 0 and the delay; `decorrelated` between `first` and three times the last
        drawn one; `none` takes the delay as it is. After the AWS architecture blog, "Exponential Backoff And
        Jitter" (2015).
    """

    first: float = 1.0
    factor: float = 2.0
    longest: float = 30.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        number("Retry", "first_delay", self.first, at_least=0)
        number("Retry", "factor", self.factor, at_least=1)
        number("Retry", "max_delay", self.longest, at_least=self.first)
        one_of("Retry", "jitter", self.jitter, ("full", "decorrelated", "none"))

    def delay(self, attempt: int, previous: float, draw: Callable[[float, float], float] = random.uniform) -> float:
        """Seconds to wait after attempt number `attempt` (from 1), the last wait having been `previous`."""
        if self.jitter == "decorrelated":
            return min(self.longest, draw(self.first, max(self.first, previous * 3)))
        try:
            grown = min(self.longest, self.first * float(self.factor) ** (attempt - 1))
        except OverflowError:
            grown = self.longest if self.first else 0.0
        return draw(0.0, grown) if self.jitter == "full" else grown


def retry_after(carrier: object, clock: Clock = SYSTEM_CLOCK) -> float | None:
    """The seconds that an error or a response asks to wait, None where it asks nothing.

    Looks for a number in an attribute `retry_after`, else for a `Retry-After` header (seconds or an HTTP
    date, RFC 9110) in `headers` or `response.headers`, which is where SDKs keep it.
    """
    named = getattr(carrier, "retry_after", None)
    if isinstance(named, (int, float)) and not isinstance(named, bool):
        return max(0.0, float(named))
    for owner in (carrier, getattr(carrier, "response", None)):
        headers = getattr(owner, "headers", None)
        get = getattr(headers, "get", None)
        if get is None:
            continue
        for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0), ("Retry-After", 1.0)):
            value = get(header)
            if value is not None:
                return _parsed(str(value), unit, clock)
    return None


def _parsed(value: str, unit: float, clock: Clock) -> float | None:
    try:
        return max(0.0, float(value) * unit)
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - clock.now()).total_seconds())
    except (TypeError, ValueError):
        return None
