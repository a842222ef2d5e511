import random
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.resilience.window import (
    NOWHERE,
    ConsecutiveWindow,
    CountWindow,
    Generation,
    InFlight,
    TimeWindow,
    Totals,
    Window,
)

Call = tuple[bool, bool]  # failed, slow


class CountModel:
    """Every call there was, and the last `size` of them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.calls: deque[Call] = deque()

    def add(self, now: float, call: Call) -> None:
        self.calls.append(call)
        while len(self.calls) > self.size:
            self.calls.popleft()

    def totals(self, now: float) -> Totals:
        return Totals(len(self.calls), sum(failed for failed, _ in self.calls), sum(slow for _, slow in self.calls))

    def resize(self, size: float, now: float) -> None:
        self.size = int(size)
        while len(self.calls) > self.size:
            self.calls.popleft()


class TimeModel:
    """Every call with the number of its bucket: the last whose edge, a whole number of widths, has come."""

    def __init__(self, span: float, now: float) -> None:
        self.width = span / TimeWindow.BUCKETS
        self.calls: deque[tuple[int, Call]] = deque()

    def number(self, now: float) -> int:
        exact = Fraction(now) // Fraction(self.width)
        return max(number for number in range(exact - 1, exact + 2) if number * self.width <= now)

    def forget(self, now: float) -> None:
        while self.calls and self.calls[0][0] <= self.number(now) - TimeWindow.BUCKETS:
            self.calls.popleft()

    def add(self, now: float, call: Call) -> None:
        self.forget(now)
        self.calls.append((self.number(now), call))

    def totals(self, now: float) -> Totals:
        self.forget(now)
        calls = [call for _, call in self.calls]
        return Totals(len(calls), sum(failed for failed, _ in calls), sum(slow for _, slow in calls))

    def resize(self, size: float, now: float) -> None:
        self.forget(now)
        ages = [(self.number(now) - number, call) for number, call in self.calls]
        self.width = size / TimeWindow.BUCKETS
        self.calls = deque((self.number(now) - age, call) for age, call in ages)


class ConsecutiveModel:
    """The calls since the last that passed."""

    def __init__(self) -> None:
        self.row = 0

    def add(self, now: float, call: Call) -> None:
        self.row = self.row + 1 if any(call) else 0

    def totals(self, now: float) -> Totals:
        return Totals(self.row, self.row, 0)

    def resize(self, size: float, now: float) -> None:
        pass


Model = CountModel | TimeModel | ConsecutiveModel
Step = tuple[float, Call | float | None]  # seconds to wait; a call, a new size, or None: look


def add(window: Window, now: float, call: Call) -> None:
    """Record as a breaker does: what passed is counted in place."""
    failed, slow = call
    if failed or slow:
        window.record(now, failed=failed, slow=slow)
    else:
        if now >= window.edge:
            window.roll(now)
        window.passed += 1


def agree(window: Window, model: Model, steps: Iterator[Step] | list[Step], start: float = 0.0) -> None:
    now = start
    for number, (wait, step) in enumerate(steps):
        now += wait
        if isinstance(step, tuple):
            add(window, now, step)
            model.add(now, step)
        elif step is not None:
            window.resize(step, now)
            model.resize(step, now)
        # Looking forgets; not looking each time lets what is old pile up.
        if step is None or number % 3:
            assert window.totals(now) == model.totals(now), f"step {number} at {now!r}"


CALLS = st.tuples(st.booleans(), st.booleans())
SPANS = st.sampled_from([0.1, 0.7, 1.0, 10.0, 1 / 3])
WAITS = st.one_of(st.just(0.0), st.floats(0, 0.2), st.floats(0, 3), st.sampled_from([0.01, 0.1, 1.0, 10.0, 100.0]))


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.just(0.0), st.one_of(CALLS, CALLS, CALLS, st.integers(1, 12), st.none()))),
)
def test_count_window_equals_the_model(size, steps):
    agree(CountWindow(size), CountModel(size), steps)


@given(SPANS, st.floats(0, 1e7), st.lists(st.tuples(WAITS, st.one_of(CALLS, CALLS, CALLS, SPANS, st.none()))))
def test_time_window_equals_the_model(span, start, steps):
    agree(TimeWindow(span, start), TimeModel(span, start), steps, start)


@given(st.lists(st.tuples(WAITS, st.one_of(CALLS, SPANS, st.none()))))
def test_consecutive_window_equals_the_model(steps):
    agree(ConsecutiveWindow(), ConsecutiveModel(), steps)


def random_steps(seed: int, *, sizes: list[float], waits: float) -> Iterator[Step]:
    choose = random.Random(seed)
    for _ in range(100_000):
        wait = 0.0 if choose.random() < 0.2 else choose.expovariate(waits)
        if choose.random() < 0.0005:
            wait *= 1000
        draw = choose.random()
        if draw < 0.002:
            yield wait, choose.choice(sizes)
        elif draw < 0.1:
            yield wait, None
        else:
            yield wait, (choose.random() < 0.2, choose.random() < 0.1)


def test_count_window_equals_the_model_over_100_000_steps():
    agree(CountWindow(20), CountModel(20), random_steps(1, sizes=[1, 5, 20, 50], waits=1))


def test_time_window_equals_the_model_over_100_000_steps():
    steps = random_steps(2, sizes=[0.7, 1.0, 2.1, 0.3], waits=50)
    agree(TimeWindow(1.0, 0.1), TimeModel(1.0, 0.1), steps, 0.1)


def test_consecutive_window_equals_the_model_over_100_000_steps():
    agree(ConsecutiveWindow(), ConsecutiveModel(), random_steps(3, sizes=[1], waits=1))


def test_time_window_looks_back_between_nine_and_ten_tenths_of_its_span():
    for tenths in range(100):
        window = TimeWindow(10.0, 0.0)
        window.record(tenths / 10, failed=True, slow=False)
        assert window.totals(tenths / 10 + 8.999).failed == 1
        assert window.totals(tenths / 10 + 10.0).failed == 0


def test_a_window_keeps_no_more_than_it_judges():
    window = CountWindow(10)
    for _ in range(1000):
        window.record(0.0, failed=True, slow=True)
    assert len(window._failed) == len(window._slow) == 10


def in_flight_steps() -> st.SearchStrategy[list[tuple[float, int | None]]]:
    """Waits, and then either a new call (None) or the end of one of those under way."""
    return st.lists(st.tuples(st.floats(0, 1), st.one_of(st.none(), st.integers(0, 20))), max_size=60)


@given(st.sampled_from([0.5, 2.0, 3.0]), in_flight_steps())
@settings(max_examples=200)
def test_calls_under_way_are_seen_as_slow_within_an_eighth(slow, steps):
    flight = InFlight(slow, 0.0, float("inf"))
    under_way: list[tuple[float, Generation]] = []
    now = 0.0
    for wait, ends in steps:
        now += wait
        if ends is None:
            generation = flight.advance(now, float("inf")) if now >= flight.current.edge else flight.current
            generation.calls += 1
            under_way.append((now, generation))
        elif under_way:
            under_way.pop(ends % len(under_way))[1].calls -= 1
        hung = flight.hung(now)
        tolerance = 1e-9
        certain = sum(now - began >= slow * 9 / 8 + tolerance for began, _ in under_way)
        possible = sum(now - began >= slow - tolerance for began, _ in under_way)
        assert certain <= hung <= possible


@given(st.floats(0.01, 10), st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0, 5)), max_size=40))
def test_a_call_that_ends_before_check_at_was_not_slow_and_its_bucket_is_not_over(slow, steps):
    flight = InFlight(slow, 0.0, 1.0)
    now, edge = 0.0, 1.0
    for wait, look, took in steps:
        now += wait
        edge = max(edge, float(int(now) + 1))
        if now >= flight.current.edge or look:
            flight.advance(now, edge)
        generation = flight.current
        if now < generation.edge and now + took < generation.check_at:
            assert took < slow + 1e-9
            assert now + took < edge


def test_generations_without_calls_are_forgotten():
    flight = InFlight(1.0, 0.0, float("inf"))
    for number in range(1000):
        generation = flight.advance(float(number), float("inf"))
        generation.calls += 1
        if number != 500:
            generation.calls -= 1
    assert len(flight._older) == 1
    assert flight.hung(1000.0) == 1


@pytest.mark.parametrize("window", [CountWindow(5), TimeWindow(1.0, 0.0), ConsecutiveWindow()])
def test_a_new_window_is_empty_and_watches_no_calls(window):
    assert window.totals(0.0) == (0, 0, 0)
    assert window.flight is None
    assert window.generation is NOWHERE
