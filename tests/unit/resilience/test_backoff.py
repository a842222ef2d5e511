"""Delays between attempts, and what a server asks for."""

import random
from datetime import timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import OptionError
from seawall.resilience.backoff import Backoff, retry_after
from seawall.testing import FakeClock

SECONDS = st.floats(min_value=0.0, max_value=1e6)
ATTEMPTS = st.one_of(st.integers(1, 50), st.integers(1, 10**9))


def backoffs(jitter: str) -> st.SearchStrategy[Backoff]:
    return st.tuples(SECONDS, st.floats(1.0, 1e9), SECONDS).map(
        lambda of: Backoff(first=of[0], factor=of[1], longest=of[0] + of[2], jitter=jitter)  # type: ignore[arg-type]
    )


def test_delays_double_until_the_longest() -> None:
    backoff = Backoff(first=0.5, longest=3.0, jitter="none")
    assert [backoff.delay(attempt, 0.0) for attempt in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_small_factor_reaches_the_longest_delay_too() -> None:
    assert Backoff(first=1.0, factor=1.01, longest=30.0, jitter="none").delay(500, 0.0) == 30.0


@given(backoffs("none"), ATTEMPTS)
def test_no_delay_is_longer_than_the_longest_nor_shorter_than_the_one_before(backoff: Backoff, attempt: int) -> None:
    assert backoff.first <= backoff.delay(attempt, 0.0) <= backoff.delay(attempt + 1, 0.0) <= backoff.longest


@given(backoffs("full"), ATTEMPTS, st.integers())
def test_full_jitter_draws_up_to_the_delay(backoff: Backoff, attempt: int, seed: int) -> None:
    grown = Backoff(first=backoff.first, factor=backoff.factor, longest=backoff.longest, jitter="none")
    delay = backoff.delay(attempt, 0.0, random.Random(seed).uniform)
    assert 0.0 <= delay <= grown.delay(attempt, 0.0)


def test_full_jitter_spreads_evenly() -> None:
    drawn = [Backoff(first=8.0, longest=8.0).delay(1, 0.0, random.Random(seed).uniform) for seed in range(1000)]
    assert 3.7 < sum(drawn) / 1000 < 4.3
    assert min(drawn) < 0.1
    assert max(drawn) > 7.9


@given(backoffs("decorrelated"), st.lists(st.integers(), min_size=1, max_size=20))
def test_decorrelated_jitter_draws_from_the_last_delay(backoff: Backoff, seeds: list[int]) -> None:
    previous = 0.0
    for attempt, seed in enumerate(seeds, 1):
        delay = backoff.delay(attempt, previous, random.Random(seed).uniform)
        assert backoff.first <= delay <= min(backoff.longest, max(backoff.first, previous * 3))
        previous = delay


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"first": -1.0}, "first_delay"),
        ({"factor": 0.5}, "factor"),
        ({"longest": 0.5}, "max_delay"),
        ({"jitter": "some"}, "jitter"),
        ({"first": float("nan")}, "first_delay"),
    ],
)
def test_impossible_delays_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=f"Retry: {named} is"):
        Backoff(**options)


CLOCK = FakeClock()
IN_20_S = format_datetime(CLOCK.now() + timedelta(seconds=20), usegmt=True)
LONG_AGO = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("carrier", "seconds"),
    [
        ({"retry_after": 7}, 7.0),
        ({"retry_after": 0.25}, 0.25),
        ({"retry_after": -3}, 0.0),
        ({"retry_after": None}, None),
        ({"retry_after": True}, None),
        ({"headers": {"retry-after": "7"}}, 7.0),
        ({"headers": {"Retry-After": "7"}}, 7.0),
        ({"headers": {"retry-after": IN_20_S}}, 20.0),
        ({"headers": {"retry-after": LONG_AGO}}, 0.0),
        ({"headers": {"retry-after": "soon"}}, None),
        ({"headers": {"retry-after-ms": "250", "retry-after": "1"}}, 0.25),
        ({"headers": {}}, None),
        ({"headers": None}, None),
        ({"response": SimpleNamespace(headers={"retry-after": "7"})}, 7.0),
        ({"headers": {}, "response": SimpleNamespace(headers={"retry-after": "7"})}, 7.0),
        ({"response": None}, None),
        ({"retry_after": 2, "headers": {"retry-after": "7"}}, 2.0),
        ({}, None),
    ],
)
def test_what_a_server_asks_for_is_found_where_clients_keep_it(carrier: dict[str, Any], seconds: float | None) -> None:
    assert retry_after(SimpleNamespace(**carrier), CLOCK) == seconds
    error = OSError()
    vars(error).update(carrier)
    assert retry_after(error, CLOCK) == seconds
