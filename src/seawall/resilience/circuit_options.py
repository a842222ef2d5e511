"""What a circuit breaker judges by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from seawall.core.errors import OptionError
from seawall.core.options import number, one_of
from seawall.resilience.window import Totals


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitOptions:
    """What a circuit breaker judges by. Durations are seconds.

    mode: `count` judges the last `window` calls, `time` the last `window` seconds, `consecutive` a row.
    failure_rate: opens when this share of the window failed (0 < rate <= 1).
    slow_call: a call that takes this long is slow, also while it is still under way; None: no matter how long.
    slow_call_rate: opens when this share of the window was slow. In consecutive mode a slow call is a failure.
    minimum_calls: judges no window that holds fewer calls.
    failures: in consecutive mode, opens after this many in a row.
    open_for: refuses all calls for this long, `open_growth` times longer at each opening that follows a
        failed trial, up to `max_open_for`.
    permits: this many trial calls at a time in HALF_OPEN.
    successes: closes after this many trials have succeeded.
    trial_lease: a trial that has not ended by then is taken for failed (default: `open_for`), so a hung
        trial can't keep the breaker half open.
    """

    mode: Literal["count", "time", "consecutive"] = "count"
    window: float = 100
    failure_rate: float = 0.5
    slow_call: float | None = None
    slow_call_rate: float = 1.0
    minimum_calls: int = 10
    failures: int = 5
    open_for: float = 60.0
    open_growth: float = 1.0
    max_open_for: float = 600.0
    permits: int = 1
    successes: int = 2
    trial_lease: float | None = None

    def __post_init__(self) -> None:
        owner = "CircuitBreaker"
        one_of(owner, "mode", self.mode, ("count", "time", "consecutive"))
        if self.mode == "count":
            number(owner, "window", self.window, at_least=1, integer=True)
            number(owner, "minimum_calls", self.minimum_calls, at_least=1, at_most=self.window, integer=True)
        else:
            number(owner, "window", self.window, at_least=0.001)
            number(owner, "minimum_calls", self.minimum_calls, at_least=1, integer=True)
        for name in ("failure_rate", "slow_call_rate"):
            number(owner, name, getattr(self, name), above=0, at_most=1)
        for name in ("slow_call", "trial_lease"):
            if getattr(self, name) is not None:
                number(owner, name, getattr(self, name), above=0)
        for name in ("failures", "permits", "successes"):
            number(owner, name, getattr(self, name), at_least=1, integer=True)
        number(owner, "open_for", self.open_for, above=0)
        number(owner, "open_growth", self.open_growth, at_least=1)
        number(owner, "max_open_for", self.max_open_for, above=0)

    def exceeded(self, totals: Totals) -> bool:
        """Whether a window that holds `totals` opens the breaker."""
        if self.mode == "consecutive":
            return totals.failed >= self.failures
        calls, failed, slow = totals
        return calls >= self.minimum_calls and (
            failed / calls >= self.failure_rate  # a quotient: 0.1 * 30 is more than 3
            or (self.slow_call is not None and slow / calls >= self.slow_call_rate)
        )

    def describe(self) -> str:
        """What opens and closes it, in few words."""
        if self.mode == "consecutive":
            opens = f"{self.failures} failures in a row"
        else:
            size = f"{self.window:g} s" if self.mode == "time" else f"{self.window:g} calls"
            opens = f"{self.failure_rate:.0%} of {size} failed"
        slow = "" if self.slow_call is None else f" or {self.slow_call_rate:.0%} slower than {self.slow_call:g} s"
        return f"opens at {opens}{slow}, for {self.open_for:g} s"

    def refuse_change(self, new: CircuitOptions) -> None:
        """Refuse what a running breaker can't change: functions are already woven for it."""
        if new.mode != self.mode:
            raise OptionError("CircuitBreaker.configure", "mode", new.mode, f"{self.mode!r}, as it was made")
        if (new.slow_call is None) != (self.slow_call is None):
            allowed = "a duration, as it was made with one" if self.slow_call else "None, as it was made without"
            raise OptionError("CircuitBreaker.configure", "slow_call", new.slow_call, allowed)


class CircuitChanges(TypedDict, total=False):
    """The options that every mode of a circuit breaker has; see `CircuitOptions`."""

    failure_rate: float
    slow_call: float | None
    slow_call_rate: float
    minimum_calls: int
    open_for: float
    open_growth: float
    max_open_for: float
    permits: int
    successes: int
    trial_lease: float | None
