"""The circuit's state machine against a model that keeps every call and every trial in plain lists."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seawall.resilience.circuit import Circuit, CircuitState, Transition, Trial
from seawall.resilience.circuit_options import CircuitOptions
from seawall.resilience.window import Window

CLOSED, OPEN, HALF_OPEN, ISOLATED, FORCED_CLOSED, METRICS_ONLY = CircuitState
FREE = (CLOSED, FORCED_CLOSED, METRICS_ONLY)


class Model:
    """What the documentation says, in the most simple-minded way. `era` numbers the windows there have been."""

    def __init__(self, options: CircuitOptions) -> None:
        self.options = options
        self.now = 0.0
        self.state = CLOSED
        self.era = 0
        self.calls: list[bool] = []  # True: failed
        self.trials: dict[int, float] = {}  # number: end of the lease
        self.trials_made = 0
        self.succeeded = 0
        self.growths: list[float] = []  # one for each opening since it was closed
        self.open_until = 0.0
        self.log: list[tuple[str, str]] = []

    def enter(self, state: CircuitState) -> None:
        if state is not self.state:
            self.log.append((self.state, state))
        self.state = state
        self.era += 1
        self.calls = []
        self.trials = {}
        self.succeeded = 0

    def trip(self, at: float) -> None:
        longest = max(self.options.open_for, self.options.max_open_for)
        self.open_until = at + min(self.options.open_for * math.prod(self.growths), longest)
        self.growths.append(self.options.open_growth)
        self.enter(OPEN)

    def expire(self) -> None:
        lapsed = [expires for expires in self.trials.values() if expires <= self.now]
        if lapsed:
            self.trip(min(lapsed))

    def begin(self) -> int | None:
        """The number of a trial, 0 for a call that passes freely, None for one that is refused."""
        if self.state in FREE:
            return 0
        self.expire()
        if self.state is OPEN and self.now >= self.open_until:
            self.enter(HALF_OPEN)
        if self.state is not HALF_OPEN or len(self.trials) >= self.options.permits:
            return None
        self.trials_made += 1
        lease = self.options.trial_lease or self.options.open_for
        self.trials[self.trials_made] = self.now + lease
        return self.trials_made

    def end(self, era: int, trial: int, outcome: str) -> None:
        if trial:
            self.end_trial(trial, outcome)
        elif era == self.era and outcome != "cancelled":
            self.calls.append(outcome == "failed")
            self.judge(only=outcome == "failed")

    def end_trial(self, trial: int, outcome: str) -> None:
        if trial not in self.trials:
            return
        if outcome == "failed":
            self.trip(self.now)
        elif outcome == "passed" and self.trials[trial] <= self.now:
            self.expire()
        else:
            del self.trials[trial]
            self.succeeded += outcome == "passed"
            if self.succeeded >= self.options.successes:
                self.close()

    def judged(self) -> tuple[int, int]:
        """Calls and failed calls in the window."""
        if self.options.mode == "count":
            self.calls = self.calls[-int(self.options.window) :]
            return len(self.calls), sum(self.calls)
        if self.options.mode == "time":  # the machine never waits as long as the window is
            return len(self.calls), sum(self.calls)
        row = 0
        for failed in self.calls:
            row = row + 1 if failed else 0
        return row, row

    def judge(self, *, only: bool = True) -> None:
        calls, failed = self.judged()
        if not only or self.state not in {CLOSED, METRICS_ONLY}:
            return
        if self.options.mode == "consecutive":
            exceeded = failed >= self.options.failures
        else:
            exceeded = calls >= self.options.minimum_calls and failed >= calls * self.options.failure_rate
        if exceeded and self.state is METRICS_ONLY:
            self.log.append((METRICS_ONLY, OPEN))
            self.era += 1
            self.calls = []
        elif exceeded:
            self.trip(self.now)

    def close(self) -> None:
        self.growths = []
        self.enter(CLOSED)

    def open(self) -> None:
        self.growths = []
        self.trip(self.now)


OPTIONS = st.builds(
    CircuitOptions,
    mode=st.sampled_from(["count", "time", "consecutive"]),
    window=st.just(1_000_000),
    failure_rate=st.sampled_from([0.25, 0.5, 1.0]),
    minimum_calls=st.integers(1, 4),
    failures=st.integers(1, 4),
    open_for=st.sampled_from([5.0, 10.0]),
    open_growth=st.sampled_from([1.0, 1.5, 3.0]),
    max_open_for=st.sampled_from([1.0, 30.0, 600.0]),
    permits=st.integers(1, 3),
    successes=st.integers(1, 4),
    trial_lease=st.sampled_from([None, 3.0, 20.0]),
)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "failure_rate": st.sampled_from([0.25, 0.5, 1.0]),
    "failures": st.integers(1, 4),
    "open_for": st.sampled_from([5.0, 10.0]),
    "open_growth": st.sampled_from([1.0, 3.0]),
    "permits": st.integers(1, 3),
    "successes": st.integers(1, 4),
    "trial_lease": st.sampled_from([None, 3.0]),
}


class CircuitMachine(RuleBasedStateMachine):
    """Calls begin and end out of order while time passes and operators intervene."""

    @initialize(options=OPTIONS, size=st.integers(4, 8))
    def build(self, options: CircuitOptions, size: int) -> None:
        if options.mode == "count":
            options = dataclasses.replace(options, window=size)
        self.model = Model(options)
        self.circuit = Circuit(options, 0.0)
        self.under_way: list[tuple[int, int, Window | Trial]] = []  # era, trial, token
        self.log: list[tuple[str, str]] = []

    def note(self, *transitions: Transition | None) -> None:
        self.log += [(made.old, made.new) for made in transitions if made is not None]

    @rule()
    def begin(self) -> None:
        era = self.model.era
        isolated = self.model.state is ISOLATED
        trial = self.model.begin()
        token: Window | Trial | None = self.circuit.window
        if token is None:
            token, transitions = self.circuit.admit(self.model.now)
            self.note(*transitions)
        if trial is None:
            assert token is None
        else:
            assert not isolated
            assert isinstance(token, Trial) == bool(trial)
            assert token is not None
            self.under_way.append((era, trial, token))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 50), outcome=st.sampled_from(["passed", "failed", "cancelled"]))
    def end(self, which: int, outcome: str) -> None:
        now = self.model.now
        era, trial, token = self.under_way.pop(which % len(self.under_way))
        late = trial not in self.model.trials if trial else era != self.model.era
        lease_is_over = self.model.trials.get(trial, now + 1) <= now
        before = self.circuit.state, self.circuit.open_until, len(self.circuit.trials)
        self.model.end(era, trial, outcome)
        if isinstance(token, Trial):
            if outcome == "cancelled":
                self.circuit.trial_released(token)
            else:
                self.note(
                    (self.circuit.trial_failed if outcome == "failed" else self.circuit.trial_succeeded)(token, now)
                )
        elif outcome == "failed":
            self.note(self.circuit.failed(token, now))
        elif outcome == "passed":
            token.roll(now)
            token.passed += 1
        if late:
            assert before == (self.circuit.state, self.circuit.open_until, len(self.circuit.trials))
        if outcome != "failed" and not lease_is_over:
            assert before[0] is OPEN or self.circuit.state is not OPEN

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 5.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.model.now += seconds

    @rule()
    def open_by_hand(self) -> None:
        self.model.open()
        self.note(self.circuit.open(self.model.now))
        assert self.circuit.open_until == self.model.now + self.model.options.open_for

    @rule()
    def close_by_hand(self) -> None:
        self.model.close()
        self.note(self.circuit.close(self.model.now))

    @rule()
    def isolate(self) -> None:
        self.model.enter(ISOLATED)
        self.note(self.circuit.isolate())

    @rule(state=st.sampled_from([FORCED_CLOSED, METRICS_ONLY]))
    def let_pass(self, state: CircuitState) -> None:
        self.model.enter(state)
        self.note(self.circuit.let_pass(state, self.model.now))

    @rule(data=st.data(), name=st.sampled_from([*CHANGES, "window"]))
    def configure(self, data: st.DataObject, name: str) -> None:
        if name == "window":
            value: Any = data.draw(st.integers(4, 8)) if self.model.options.mode == "count" else 1_000_000
        else:
            value = data.draw(CHANGES[name])
        self.model.judged()  # a smaller window forgets before a larger one is set
        change: dict[str, Any] = {name: value}
        self.model.options = dataclasses.replace(self.model.options, **change)
        self.model.judge()
        self.note(self.circuit.configure(self.model.options, self.model.now))

    @invariant()
    def they_agree(self) -> None:
        model, circuit = self.model, self.circuit
        assert circuit.state is model.state
        assert self.log == model.log
        assert len(circuit.trials) == len(model.trials)
        if model.state is OPEN:
            assert circuit.open_until == pytest.approx(model.open_until)
            assert circuit.open_until - model.now <= max(model.options.open_for, model.options.max_open_for, 10.0)
        else:
            assert circuit.open_until <= model.now
        if model.state in FREE:
            assert circuit.window is not None
            assert circuit.window.totals(model.now)[:2] == model.judged()
        else:
            assert circuit.window is None

    @invariant()
    def no_permit_is_given_twice(self) -> None:
        # Permits taken away by `configure` are not given again, but live trials keep theirs.
        assert len(self.circuit.trials) <= 3
        assert len(self.circuit.trials) <= len([trial for _, trial, _ in self.under_way if trial])


CircuitMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
test_circuit_does_what_the_model_does = CircuitMachine.TestCase


def opened(**options: Any) -> Circuit:
    circuit = Circuit(CircuitOptions(**options), 0.0)
    circuit.open(0.0)
    return circuit


def trial_of(circuit: Circuit, now: float) -> Trial:
    trial, _ = circuit.admit(now)
    assert trial is not None
    return trial


def test_a_hung_trial_frees_the_breaker_as_of_the_moment_its_lease_ran_out():
    circuit = opened(open_for=10.0)
    hung = trial_of(circuit, 10.0)
    assert circuit.admit(19.9) == (None, (None,))
    assert circuit.admit(20.0)[0] is None  # open again, since 20.0
    assert circuit.open_until == 30.0
    assert trial_of(circuit, 30.0) is not hung
    assert circuit.trial_failed(hung, 30.0) is None


@pytest.mark.parametrize("wrong", [Circuit.trial_failed, lambda circuit, trial, now: circuit.expire(now)])
def test_each_failed_trial_lengthens_the_opening_up_to_the_longest(wrong: Callable[[Circuit, Trial, float], Any]):
    circuit = opened(open_for=1.0, open_growth=2.0, max_open_for=5.0, trial_lease=1e-9)
    now, durations = 0.0, []
    for _ in range(5):
        durations.append(circuit.open_until - now)
        trial = trial_of(circuit, circuit.open_until)
        now = trial.expires
        wrong(circuit, trial, now)
    assert durations == pytest.approx([1, 2, 4, 5, 5])


def test_an_opening_after_a_recovery_is_short_again():
    circuit = opened(open_for=1.0, open_growth=2.0, successes=1)
    circuit.trial_failed(trial_of(circuit, 1.0), 1.0)
    assert circuit.open_until == 3.0
    circuit.trial_succeeded(trial_of(circuit, 3.0), 3.0)
    assert circuit.state is CLOSED
    circuit.open(4.0)
    assert circuit.open_until == 5.0


@pytest.mark.parametrize("growth", [1.01, 2, 1e5, 1e200])
def test_any_growth_reaches_the_longest_and_stays_there(growth):
    circuit = opened(open_for=1.0, open_growth=growth, max_open_for=60.0)
    for _ in range(3000):
        now = circuit.open_until
        circuit.trial_failed(trial_of(circuit, now), now)
    assert circuit.open_until - now == pytest.approx(60.0)
