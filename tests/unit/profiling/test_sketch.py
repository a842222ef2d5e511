"""The sketch against the durations themselves."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import OptionError
from seawall.profiling.sketch import ERROR, LARGEST, SMALLEST, Durations

DURATIONS = st.lists(st.floats(SMALLEST, LARGEST, exclude_min=True), min_size=1, max_size=200)
SHARES = st.floats(0, 1)


def sketch(*batches: list[float]) -> Durations:
    made = Durations()
    for batch in batches:
        made.add(batch)
    return made


def exact(durations: list[float], share: float) -> float:
    return sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]


@given(DURATIONS, SHARES)
def test_quantiles_are_within_the_error(durations, share):
    (found,) = sketch(durations).quantiles(share)
    assert found == pytest.approx(exact(durations, share), rel=ERROR * 1.001)


@given(DURATIONS)
def test_count_sum_least_and_most_are_exact(durations):
    made = sketch(durations)
    assert (made.count, made.least, made.most) == (len(durations), min(durations), max(durations))
    assert made.sum == pytest.approx(math.fsum(durations))
    assert made.mean == pytest.approx(math.fsum(durations) / len(durations))


@given(DURATIONS, DURATIONS, st.lists(SHARES, min_size=1, max_size=5))
def test_merging_is_adding(one, other, shares):
    merged = sketch(one)
    merged.merge(sketch(other))
    together = sketch(one + other)
    assert merged.quantiles(*shares) == together.quantiles(*shares)
    assert (merged.count, merged.least, merged.most) == (together.count, together.least, together.most)
    assert merged.sum == pytest.approx(together.sum)


@given(DURATIONS, st.integers(0, 200))
def test_batches_make_no_difference(durations, cut):
    assert sketch(durations[:cut], durations[cut:]).quantiles(0.5, 0.99) == sketch(durations).quantiles(0.5, 0.99)


@given(st.lists(st.floats(0, allow_infinity=False, allow_nan=False), min_size=1), SHARES)
def test_what_is_out_of_range_stays_between_least_and_most(durations, share):
    made = sketch(durations)
    (found,) = made.quantiles(share)
    assert min(durations) <= found <= max(durations)


def test_memory_is_bounded():
    made = sketch([SMALLEST * 2 ** (step / 100) for step in range(-500, 8_000)])
    assert len(made) <= 50 * 32 + 1


def test_nothing_has_no_quantiles():
    assert Durations().quantiles(0.5, 0.99) == [0.0, 0.0]
    assert sketch([]).mean == 0.0


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(OptionError, match="share"):
        sketch([1.0]).quantiles(share)
