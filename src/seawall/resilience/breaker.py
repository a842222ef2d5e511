"""The circuit breaker: stops calling what keeps failing, and finds out by trial calls when it works again."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypedDict, Unpack

from seawall.core import Clock, Events
from seawall.core.errors import OptionError
from seawall.core.options import callable_or_none
from seawall.resilience import events as facts
from seawall.resilience.circuit import Circuit, CircuitState, Transition, Trial
from seawall.resilience.circuit_options import CircuitChanges, CircuitOptions
from seawall.resilience.errors import CircuitOpenError, RejectedError, cut_by_caller
from seawall.resilience.matching import ErrorMatch, matcher, type_names
from seawall.resilience.policy import FREE_THREADED, Policy
from seawall.resilience.weave import Face, Fragment
from seawall.resilience.window import NEVER, NOWHERE, Generation, Window


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerStatistics:
    """A breaker at one moment.

    `calls`, `failed`, `slow`: those in its window, 0 while it refuses; `hung`: under way and slow already;
    `trials`: trial calls under way; `rejected`, `opened`: since it was made; `retry_after`: seconds to the
    next trial call, None unless it is open.
    """

    name: str
    state: CircuitState
    calls: int
    failed: int
    slow: int
    hung: int
    trials: int
    rejected: int
    opened: int
    retry_after: float | None


class BreakerSettings(CircuitChanges, TypedDict, total=False):
    """What every way to make a breaker takes."""

    on: ErrorMatch
    failed_result: Callable[[Any], bool] | None
    clock: Clock | None
    events: Events | None


class CircuitBreaker(Policy):
    """Opens when calls fail or are slow too often; while open it refuses them at once.

    `CircuitBreaker("openai")` judges the last 100 calls, `CircuitBreaker.over_time` the last 10 seconds,
    `CircuitBreaker.consecutive` failures in a row. Options are those of `CircuitOptions`, and:

    on: which errors are failures: types, or a function of the error. After any other error the dependency
        has answered, which counts as success. Cancellation, a cut by the caller's own deadline, and Seawall's
        rejections count as neither.
    failed_result: a function of the result that tells a failure without an error, such as a status of 500.

    Guarantees: a success that was not slow never opens it; at most `permits` trials are live, whatever is
    cancelled or hangs; a result from before a change of state is ignored; no lock is held across a call. Share
    one breaker among all who call a dependency, from any number of tasks, threads and event loops.

    Raises `CircuitOpenError` in place of the call. After resilience4j (windows, slow calls) and Polly
    (trials as leases).
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        mode: str = "count",
        window: float = 100,
        failures: int | None = None,
        on: ErrorMatch = Exception,
        failed_result: Callable[[Any], bool] | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
        **options: Unpack[CircuitChanges],
    ) -> None:
        super().__init__(name, clock, events)
        callable_or_none("CircuitBreaker", "failed_result", failed_result)
        if failures is not None and mode != "consecutive":
            raise OptionError("CircuitBreaker", "failures", failures, "nothing; use CircuitBreaker.consecutive")
        unknown = sorted(options.keys() - CircuitChanges.__annotations__.keys())
        if unknown:
            known = ", ".join(CircuitChanges.__annotations__)
            message = f"CircuitBreaker has no option {unknown[0]!r}; there are: {known}"
            raise TypeError(message)
        row = {} if failures is None else {"failures": failures}
        options_ = CircuitOptions(mode=mode, window=window, **row, **options)  # type: ignore[arg-type]
        self.circuit = Circuit(options_, self.clock.monotonic())
        self._on = on
        self._matches = matcher("CircuitBreaker", "on", on)
        self._failed_result = failed_result
        self._lock = threading.Lock()
        self._rejected = 0
        self._opened = 0
        self._rejected_event: facts.CallRejected | None = None

    @classmethod
    def over_time(cls, name: str | None = None, *, window: float = 10.0, **settings: Unpack[BreakerSettings]) -> Self:
        """A breaker that judges the calls of the last `window` seconds."""
        return cls(name, mode="time", window=window, **settings)

    @classmethod
    def consecutive(cls, name: str | None = None, *, failures: int = 5, **settings: Unpack[BreakerSettings]) -> Self:
        """A breaker that opens after `failures` failures in a row."""
        return cls(name, mode="consecutive", failures=failures, **settings)

    @property
    def options(self) -> CircuitOptions:
        """The options in force."""
        return self.circuit.options

    @property
    def state(self) -> CircuitState:
        """The state now. OPEN stays OPEN until a call comes after `open_for`, which makes it HALF_OPEN."""
        return self.circuit.state

    def statistics(self) -> BreakerStatistics:
        """A frozen picture of this moment."""
        now = self.clock.monotonic()
        with self._lock:
            circuit = self.circuit
            window = circuit.window
            calls, failed, slow = window.totals(now) if window is not None else (0, 0, 0)
            open_ = circuit.state is CircuitState.OPEN
            return BreakerStatistics(
                name=self.name,
                state=circuit.state,
                calls=calls,
                failed=failed,
                slow=slow,
                hung=window.flight.hung(now) if window is not None and window.flight is not None else 0,
                trials=len(circuit.trials),
                rejected=self._rejected,
                opened=self._opened,
                retry_after=max(0.0, circuit.open_until - now) if open_ else None,
            )

    def open(self) -> None:
        """Refuse calls for `open_for`, then try."""
        self._change(self.circuit.open)

    def close(self) -> None:
        """Let calls through, with an empty window."""
        self._change(self.circuit.close)

    reset = close

    def isolate(self) -> None:
        """Refuse calls until `close`, `reset` or `open` is called."""
        self._change(lambda _: self.circuit.isolate())

    def force_closed(self) -> None:
        """Let all calls through and never open, until `close` or `open` is called."""
        self._change(lambda now: self.circuit.let_pass(CircuitState.FORCED_CLOSED, now))

    def metrics_only(self) -> None:
        """Let all calls through and report `CircuitWouldHaveOpened`, until `close` or `open` is called."""
        self._change(lambda now: self.circuit.let_pass(CircuitState.METRICS_ONLY, now))

    def configure(
        self, *, window: float | None = None, failures: int | None = None, **changes: Unpack[CircuitChanges]
    ) -> None:
        """Change options while running; state and window stay. The mode and whether `slow_call` is set stay too."""
        sizes = {name: value for name, value in (("window", window), ("failures", failures)) if value is not None}
        options = dataclasses.replace(self.options, **sizes, **changes)  # type: ignore[arg-type]
        self._change(lambda now: self.circuit.configure(options, now))

    def use_clock(self, clock: Clock) -> None:
        """Measure by `clock` from now on; begins anew, CLOSED with an empty window."""
        super().use_clock(clock)
        self.circuit = Circuit(self.options, clock.monotonic())

    def fragment(self, face: Face) -> Fragment:
        """The lines around a call."""
        # A generator function and a block have no result.
        judged = self._failed_result is not None and face.kind == "call"
        template = _template(self.options, locked=FREE_THREADED, judged=judged)
        return Fragment(
            template,
            {
                "circuit": self.circuit,
                "clock": self.clock.monotonic,
                "lock": self._lock,
                "admit": self._admit,
                "advance": self._advance,
                "on_error": self._on_error,
                "record": self._record,
                "failed_result": self._failed_result,
            },
        )

    def _admit(self) -> Trial:
        """A trial, or `CircuitOpenError`. While it is open that costs no lock."""
        circuit = self.circuit
        now = self.clock.monotonic()
        left = circuit.open_until - now
        if left > 0:
            self._rejected += 1
            if self.events.listeners:
                self.events.emit(self._rejected_event or self._rejection)
            raise CircuitOpenError(self.name, left, "open")
        with self._lock:
            trial, transitions = circuit.admit(now)
            if trial is None:
                self._rejected += 1
        for transition in transitions:
            self._report(transition)
        return trial or self._refuse(now)

    @property
    def _rejection(self) -> facts.CallRejected:
        """The event of a refused call; frozen and always the same, so made once."""
        if self._rejected_event is None:
            self._rejected_event = facts.CallRejected(policy=self.name, reason=CircuitOpenError.code)
        return self._rejected_event

    def _advance(self, window: Window, now: float) -> Generation:
        """Begin a new generation of calls under way; refuse the call if the hung ones have opened the breaker."""
        with self._lock:
            generation = window.generation = (
                window.flight.advance(now, window.edge, window.passed) if window.flight else NOWHERE
            )
            transition = self.circuit.judge(now) if window is self.circuit.window else None
            refused = self.circuit.window is None
            self._rejected += refused
        self._report(transition)
        if refused:
            self._refuse(now)
        return generation

    def _refuse(self, now: float) -> Any:
        """Raise `CircuitOpenError`."""
        state = self.circuit.state
        if self.events.listeners:
            self.events.emit(self._rejection)
        retry_after = max(0.0, self.circuit.open_until - now) if state is CircuitState.OPEN else None
        raise CircuitOpenError(self.name, retry_after, state)

    def _on_error(self, under: Window | Trial, error: BaseException, start: float = NEVER) -> None:
        if cut_by_caller(error) and not self._slow(start):
            self._release(under)  # the caller's patience says nothing about the dependency
        elif isinstance(error, Exception) and not isinstance(error, RejectedError):
            failed = True  # as which an error counts that `on` itself fails to judge
            try:
                failed = self._matches(error)
            finally:
                self._record(under, failed, start)
        else:
            self._release(under)

    def _slow(self, start: float) -> bool:
        return self.clock.monotonic() - start >= self.circuit.slow

    def _release(self, under: Window | Trial) -> None:
        """A call ended without a verdict."""
        if isinstance(under, Trial):
            with self._lock:
                self.circuit.trial_released(under)

    def _record(self, under: Window | Trial, failed: object, start: float = NEVER) -> None:
        """What the hot path leaves: failures, and the results of trials, of slow calls and at the end of a bucket."""
        now = self.clock.monotonic()
        slow = now - start >= self.circuit.slow
        with self._lock:
            if isinstance(under, Trial):
                outcome = self.circuit.trial_failed if failed or slow else self.circuit.trial_succeeded
                transition = outcome(under, now)
            elif failed or slow:
                transition = self.circuit.failed(under, now, slow=slow, failed=bool(failed))
            else:
                transition = None
                under.roll(now)
                under.passed += 1
                if under.flight is not None:
                    under.generation = under.flight.advance(now, under.edge, under.passed)
        self._report(transition)

    def _change(self, change: Callable[[float], Transition | None]) -> None:
        with self._lock:
            transition = change(self.clock.monotonic())
        self._report(transition)

    def _report(self, transition: Transition | None) -> None:
        if transition is None:
            return
        would = transition.old is CircuitState.METRICS_ONLY and transition.new is CircuitState.OPEN
        would = would and self.circuit.state is CircuitState.METRICS_ONLY
        if transition.new is CircuitState.OPEN and not would:
            self._opened += 1
        if self.events.listeners:
            kind = facts.CircuitWouldHaveOpened if would else _EVENTS[transition.new]
            self.events.emit(kind(policy=self.name, old=transition.old, new=transition.new, reason=transition.reason))

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.options.describe()}, on={type_names(self._on)})"


_EVENTS: dict[CircuitState, type[facts.CircuitChanged]] = {
    CircuitState.OPEN: facts.CircuitOpened,
    CircuitState.HALF_OPEN: facts.CircuitHalfOpened,
    CircuitState.CLOSED: facts.CircuitClosed,
    CircuitState.ISOLATED: facts.CircuitIsolated,
    CircuitState.FORCED_CLOSED: facts.CircuitOverridden,
    CircuitState.METRICS_ONLY: facts.CircuitOverridden,
}

# `edge` is long past for a trial, and to come for a window whose current bucket is not over.
_TEMPLATE = """
$window = $circuit.window or $admit()
try:
    $inner{judge}
except BaseException as $error:
    $on_error($window, $error)
    raise
if {or_failed}{now} >= $window.edge:
    $record($window, {failed})
else:
    {lock}$window.passed += 1
"""

_SLOW_TEMPLATE = """
$start = $clock()
$window = $circuit.window or $admit()
$generation = $window.generation
if $start >= $generation.edge:
    $generation = $advance($window, $start)
{lock}$generation.calls += 1
try:
    $inner{judge}
except BaseException as $error:
    {lock}$generation.calls -= 1
    $on_error($window, $error, $start)
    raise
{lock}$generation.calls -= 1
if {or_failed}$clock() >= $generation.check_at:
    $record($window, {failed}, $start)
else:
    {lock}$window.passed += 1
"""


def _template(options: CircuitOptions, *, locked: bool, judged: bool) -> str:
    template = _TEMPLATE if options.slow_call is None else _SLOW_TEMPLATE
    holes = {
        # Inside the `try`: a judge that fails gives the permit back, too.
        "{judge}": "\n    $failed = $failed_result(result)" if judged else "",
        "{or_failed}": "$failed or " if judged else "",
        "{failed}": "$failed" if judged else "False",
        "{lock}": "with $lock: " if locked else "",
        "{now}": "$clock()" if options.mode == "time" else "0.0",
    }
    for hole, text in holes.items():
        template = template.replace(hole, text)
    return template
