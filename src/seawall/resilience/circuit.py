"""The state machine of a circuit breaker: no I/O, no clock, no lock; its caller brings the time.

                    rate reached                 open_for over
        CLOSED ─────────────────────► OPEN ─────────────────────► HALF_OPEN
          ▲                             ▲   a trial fails or hangs     │
          │                             └──────────────────────────────┤
          └────────────────────────────────────────────────────────────┘
                              `successes` trials succeed

By hand from anywhere: ISOLATED (refuses all), FORCED_CLOSED (lets all through, never opens),
METRICS_ONLY (lets all through, says when it would have opened), and back by `close` or `open`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from seawall.resilience.circuit_options import CircuitOptions
from seawall.resilience.window import (
    NEVER,
    NOWHERE,
    ConsecutiveWindow,
    CountWindow,
    InFlight,
    TimeWindow,
    Totals,
    Window,
)


class CircuitState(StrEnum):
    """The states of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"
    FORCED_CLOSED = "forced_closed"
    METRICS_ONLY = "metrics_only"


class Transition(NamedTuple):
    """A change of state and what caused it."""

    old: CircuitState
    new: CircuitState
    reason: str


class Trial:
    """The permit of one trial call. It ends by itself when its lease is over.

    It stands where a window stands for other calls, with an edge long past, so that the comparison which
    finds the end of a window's bucket finds trials too.
    """

    __slots__ = ("edge", "expires", "generation", "passed")

    def __init__(self, expires: float) -> None:
        self.expires = expires
        self.edge = -NEVER
        self.generation = NOWHERE
        self.passed = 0


class Circuit:
    """A circuit breaker's state.

    `window` is None unless calls pass freely; whoever calls takes it first and hands it back with the
    outcome. So one load tells the state, and a result from before a change of state is known by its window.
    `open_until` is in the future only while it is OPEN.
    """

    __slots__ = ("_stretch", "_succeeded", "open_until", "options", "slow", "state", "trials", "window")

    def __init__(self, options: CircuitOptions, now: float) -> None:
        self.options = options
        self.slow = options.slow_call or NEVER
        self.state = CircuitState.CLOSED
        self.window: Window | None = self._fresh(now)
        self.open_until = 0.0
        self.trials: set[Trial] = set()
        self._stretch = 1.0  # how many times longer the next opening is
        self._succeeded = 0

    def admit(self, now: float) -> tuple[Trial | None, tuple[Transition | None, ...]]:
        """Ask for a trial call when `window` is None. No trial means: refuse the call."""
        if self.state is CircuitState.OPEN and now < self.open_until:
            return None, ()
        transitions: tuple[Transition | None, ...] = ()
        if self.state is CircuitState.HALF_OPEN:
            transitions = (self.expire(now),)
        if self.state is CircuitState.OPEN and now >= self.open_until:
            transitions = (*transitions, self._enter(CircuitState.HALF_OPEN, "open_for is over"))
            self._succeeded = 0
        options = self.options
        if self.state is not CircuitState.HALF_OPEN or len(self.trials) >= options.permits:
            return None, transitions
        trial = Trial(now + (options.trial_lease or options.open_for))
        self.trials.add(trial)
        return trial, transitions

    def expire(self, now: float) -> Transition | None:
        """Take a trial whose lease is over for failed, as of the moment it ran out."""
        expired = [trial.expires for trial in self.trials if trial.expires <= now]
        if not expired:
            return None
        return self._trip(min(expired), "a trial call hung")

    def failed(
        self, window: Window | None, now: float, *, slow: bool = False, failed: bool = True
    ) -> Transition | None:
        """Record a failed or slow call that began under `window`; a window from an earlier state is ignored."""
        if window is None or window is not self.window:
            return None
        window.record(now, failed=failed, slow=slow)
        return self.judge(now)

    def judge(self, now: float) -> Transition | None:
        """Open if the window, and the calls under way that are slow already, say so."""
        window = self.window
        if window is None or self.state is CircuitState.FORCED_CLOSED:
            return None
        totals = window.totals(now)
        if self.options.mode == "consecutive":
            # A hung call stands in the row only if none has passed since it began.
            hung = window.flight.hung(now, window.passed) if window.flight is not None else 0
            totals = Totals(totals.calls + hung, totals.failed + hung, 0)
        else:
            hung = window.flight.hung(now) if window.flight is not None else 0
            totals = Totals(totals.calls + hung, totals.failed, totals.slow + hung)
        if not self.options.exceeded(totals):
            return None
        reason = f"{totals.failed} failed and {totals.slow} slow of {totals.calls} calls"
        if self.state is CircuitState.METRICS_ONLY:
            self.window = self._fresh(now)
            return Transition(CircuitState.METRICS_ONLY, CircuitState.OPEN, reason)
        return self._trip(now, reason)

    def trial_succeeded(self, trial: Trial, now: float) -> Transition | None:
        """A trial went well; late results (expired, or from an earlier state) are ignored."""
        if trial not in self.trials:
            return None
        if trial.expires <= now:
            return self.expire(now)
        self.trials.discard(trial)
        self._succeeded += 1
        if self._succeeded < self.options.successes:
            return None
        return self.close(now, f"{self._succeeded} trial calls succeeded")

    def trial_failed(self, trial: Trial, now: float) -> Transition | None:
        """A trial failed: open again."""
        if trial not in self.trials:
            return None
        return self._trip(now, "a trial call failed")

    def trial_released(self, trial: Trial) -> None:
        """A trial ended without a verdict (it was cancelled): give its permit back."""
        self.trials.discard(trial)

    def close(self, now: float, reason: str = "by hand") -> Transition | None:
        """Let calls through, with an empty window and the first opening's duration."""
        self._stretch = 1.0
        self.window = self._fresh(now)
        return self._enter(CircuitState.CLOSED, reason)

    def open(self, now: float, reason: str = "by hand") -> Transition | None:
        """Refuse calls for `open_for`, then try."""
        self._stretch = 1.0
        return self._trip(now, reason)

    def isolate(self) -> Transition | None:
        """Refuse calls until closed by hand."""
        self.window = None
        return self._enter(CircuitState.ISOLATED, "by hand")

    def let_pass(self, state: CircuitState, now: float) -> Transition | None:
        """Enter FORCED_CLOSED or METRICS_ONLY."""
        self.window = self._fresh(now)
        return self._enter(state, "by hand")

    def configure(self, options: CircuitOptions, now: float) -> Transition | None:
        """Change the options and keep the state and the window; opens if the new options say so."""
        self.options.refuse_change(options)
        self.options = options
        self.slow = options.slow_call or NEVER
        if self.window is not None:
            self.window.resize(options.window, now)
            if self.window.flight is not None:
                self.window.generation = self.window.flight.resize(self.slow, now, self.window.edge)
        return self.judge(now)

    def _trip(self, now: float, reason: str) -> Transition | None:
        options = self.options
        self.window = None
        transition = self._enter(CircuitState.OPEN, reason)
        self.open_until = now + max(options.open_for, min(options.open_for * self._stretch, options.max_open_for))
        self._stretch *= options.open_growth
        return transition

    def _enter(self, state: CircuitState, reason: str) -> Transition | None:
        old, self.state = self.state, state
        self.open_until = 0.0
        self.trials.clear()
        return Transition(old, state, reason) if old is not state else None

    def _fresh(self, now: float) -> Window:
        options = self.options
        window: Window
        if options.mode == "count":
            window = CountWindow(int(options.window))
        elif options.mode == "time":
            window = TimeWindow(options.window, now)
        else:
            window = ConsecutiveWindow()
        if options.slow_call is not None:
            window.flight = InFlight(self.slow, now, window.edge)
            window.generation = window.flight.current
        return window
