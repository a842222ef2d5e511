"""Adaptive limits find what a server can do and stay there, whatever its latency does."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import OptionError
from seawall.resilience import AIMD, Gradient2, LimitAlgorithm, Vegas
from tests.unit.resilience.simulated_server import Second, Server

ALGORITHMS: dict[str, Callable[[], LimitAlgorithm]] = {
    "AIMD": lambda: AIMD(timeout=0.6),
    "Vegas": Vegas,
    "Gradient2": Gradient2,
}
SPREADS: dict[str, Callable[[random.Random], float]] = {
    "even": lambda _: 1.0,
    "uniform": lambda of: of.uniform(0.5, 1.5),
    "exponential": lambda of: of.expovariate(1.0),
}
PHASE = 40
LATENCIES = [0.1, 0.2, 0.05, 0.1]
"""Up, down and back, a phase each."""


def latency(now: float) -> float:
    return LATENCIES[min(int(now / PHASE), len(LATENCIES) - 1)]


def settled(told: list[Second], phase: int) -> list[Second]:
    """The second half of a phase."""
    return told[phase * PHASE + PHASE // 2 : (phase + 1) * PHASE]


def done(seconds: list[Second]) -> float:
    return sum(second.done for second in seconds) / len(seconds)


@pytest.mark.parametrize("load", [None, 1.5])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("workers", [4, 40])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_server_under_overload_does_its_work_with_a_bounded_queue(
    algorithm: str, workers: int, spread: str, load: float | None
) -> None:
    limit = ALGORITHMS[algorithm]()
    server = Server(limit, workers=workers, latency=latency, spread=SPREADS[spread], load=load, timeout=0.6)
    told = server.run(PHASE * len(LATENCIES))
    for phase, seconds_a_call in enumerate(LATENCIES):
        seconds = settled(told, phase)
        capacity = workers / seconds_a_call
        assert done(seconds) >= 0.8 * capacity
        if algorithm == "AIMD":  # it knows nothing but the timeout
            assert max(second.queue for second in seconds) <= 0.6 * capacity
        else:
            assert max(second.queue for second in seconds) <= 3 * workers + 50
    if algorithm != "AIMD" and spread == "even":
        limits = [limit for second in settled(told, 0) + settled(told, 3) for limit in second.limits]
        assert workers * 0.5 <= min(limits)
        assert max(limits) <= 2 * workers + 16


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_server_with_room_to_spare_refuses_nearly_nothing(algorithm: str, spread: str) -> None:
    server = Server(ALGORITHMS[algorithm](), workers=40, latency=lambda _: 0.1, spread=SPREADS[spread], load=0.6)
    told = server.run(60)
    assert sum(second.refused for second in told[20:]) <= 0.001 * sum(second.done for second in told[20:])


@pytest.mark.parametrize("algorithm", ["Vegas", "Gradient2"])
def test_standing_queue_never_becomes_the_normal(algorithm: str) -> None:
    """An average or a minimum taken under load lets the limit drift up for ever."""
    server = Server(ALGORITHMS[algorithm](), workers=20, latency=lambda _: 0.05)
    told = server.run(400)
    early, late = told[50:100], told[350:]
    assert max(second.queue for second in late) <= max(second.queue for second in early) + 2
    assert done(late) >= 0.8 * 400


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_limit_recovers_after_an_outage(algorithm: str) -> None:
    """For two minutes every call takes longer than the timeout."""
    server = Server(
        ALGORITHMS[algorithm](),
        workers=40,
        latency=lambda now: 2.0 if 20 <= now < 140 else 0.1,
        timeout=0.6,
    )
    told = server.run(180)
    assert min(limit for second in told[20:140] for limit in second.limits) <= 4
    assert done(told[160:]) >= 0.8 * 400


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_few_calls_that_hang_do_not_shrink_the_limit(algorithm: str) -> None:
    server = Server(
        ALGORITHMS[algorithm](),
        workers=40,
        latency=lambda _: 0.1,
        spread=lambda of: 10.0 if of.random() < 0.02 else 1.0,
        timeout=0.6,
    )
    told = server.run(60)
    busy_with_what_hangs = 0.02 * 10 / (0.02 * 10 + 0.98)
    assert done(told[30:]) >= 0.8 * 400 * (1 - busy_with_what_hangs)


@given(
    st.sampled_from(sorted(ALGORITHMS)),
    st.lists(st.tuples(st.floats(0.0, 1e6), st.integers(1, 500), st.booleans()), max_size=200),
)
def test_limit_stays_within_its_bounds_whatever_comes(algorithm: str, samples: list[tuple[float, int, bool]]) -> None:
    kinds: dict[str, Any] = {"AIMD": AIMD, "Vegas": Vegas, "Gradient2": Gradient2}
    limit = kinds[algorithm](initial=10, lowest=3, highest=30)
    for seconds, running, dropped in samples:
        found = limit.sample(seconds, running, dropped=dropped)
        assert 3 <= found == limit.limit <= 30


def test_idle_limit_does_not_grow() -> None:
    for make in ALGORITHMS.values():
        limit = make()
        for _ in range(1000):
            limit.sample(0.1, 3, dropped=False)
        assert limit.limit == 20


def test_aimd_takes_one_step_for_a_round_of_calls() -> None:
    limit = AIMD(initial=20, timeout=1.0)
    for _ in range(20):
        limit.sample(2.0, 20, dropped=False)
    assert limit.limit == 18.0
    for _ in range(2 * 20):
        limit.sample(0.5, 18, dropped=False)
    assert limit.limit == 20.0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: AIMD(initial=0), "initial"),
        (lambda: AIMD(backoff=1.0), "backoff"),
        (lambda: AIMD(timeout=0), "timeout"),
        (lambda: Vegas(lowest=5, highest=4), "highest"),
        (lambda: Vegas(probe_every=1), "probe_every"),
        (lambda: Gradient2(tolerance=0.5), "tolerance"),
        (lambda: Gradient2(smoothing=0), "smoothing"),
    ],
)
def test_impossible_options_are_refused(make: Callable[[], object], named: str) -> None:
    with pytest.raises(OptionError, match=f": {named} is"):
        make()
