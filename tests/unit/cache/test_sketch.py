"""The sketches against exact models."""

import math
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cache.sketch import FrequentItems, Quantiles
from seawall.core import OptionError

streams = st.lists(st.tuples(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.integers(1, 50)), max_size=300)
durations = st.lists(st.floats(1e-6, 86_400.0), min_size=1, max_size=200)


def exact(*parts: list[tuple[str, int]]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for stream in parts:
        for item, count in stream:
            counted[item] += count
    return counted


def filled(stream: list[tuple[str, int]], capacity: int) -> FrequentItems:
    sketch = FrequentItems(capacity)
    for item, count in stream:
        sketch.add(item, count)
        assert len(sketch) <= 2 * capacity
    return sketch


def assert_sound(sketch: FrequentItems, model: Counter[str], capacity: int) -> None:
    """Every count is within its bounds, nothing frequent is missing, and the error is as small as is promised."""
    found = {item: (count, error) for item, count, error in sketch.top(1000)}
    assert sketch.total == model.total()
    assert sketch.error * (capacity + 1) <= model.total()
    for item, (count, error) in found.items():
        assert count <= model[item] <= count + error
    assert {item for item, count in model.items() if count > sketch.error} <= set(found)


class TestFrequentItems:
    @given(streams, st.integers(1, 20))
    def test_its_bounds_hold(self, stream, capacity):
        assert_sound(filled(stream, capacity), exact(stream), capacity)

    @given(streams, streams, st.integers(1, 20))
    def test_they_hold_for_two_put_together(self, one, other, capacity):
        sketch = filled(one, capacity)
        sketch.merge(filled(other, capacity))
        assert_sound(sketch, exact(one, other), capacity)

    @given(streams)
    def test_with_room_for_all_it_is_exact(self, stream):
        found = [(item, count) for item, count, error in filled(stream, 13).top(1000) if not error]
        assert sorted(found) == sorted(exact(stream).items())

    def test_a_few_hot_ones_come_first_out_of_many(self):
        sketch = FrequentItems(16)
        for number in range(5000):
            sketch.add(f"once:{number}")
            if number % 10 == 0:
                sketch.add("hot", 5)
            if number % 100 == 0:
                sketch.add("warm", 25)
        hot, warm = sketch.top(2)
        assert (hot.item, warm.item) == ("hot", "warm")
        assert hot.least <= 2500 <= hot.least + hot.error

    def test_no_count_gets_lost_between_threads(self):
        sketch = FrequentItems(4)

        def add() -> None:
            for _ in range(2000):
                sketch.add("k")

        threads = [threading.Thread(target=add) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sketch.top(1) == [("k", 16_000, 0)]

    @pytest.mark.parametrize("capacity", [0, -1, 1.5])
    def test_impossible_capacities_are_refused(self, capacity):
        with pytest.raises(OptionError):
            FrequentItems(capacity)


class TestQuantiles:
    @given(durations, st.floats(0, 1))
    def test_any_quantile_is_within_5_percent(self, seconds, share):
        sketch = Quantiles()
        for each in seconds:
            sketch.add(each)
        right = sorted(seconds)[max(1, math.ceil(share * len(seconds))) - 1]
        assert sketch.quantile(share) == pytest.approx(right, rel=0.05)

    @given(durations, durations)
    def test_two_put_together_are_as_one(self, one, other):
        left, right, whole = Quantiles(), Quantiles(), Quantiles()
        for each in one:
            left.add(each)
            whole.add(each)
        for each in other:
            right.add(each)
            whole.add(each)
        left.merge(right)
        for share in (0.0, 0.5, 0.95, 0.99, 1.0):
            assert left.quantile(share) == whole.quantile(share)
        assert (left.count, left.largest) == (whole.count, whole.largest)
        assert left.mean == pytest.approx(sum(one + other) / len(one + other))

    def test_nothing_has_none(self):
        assert (Quantiles().quantile(0.5), Quantiles().mean) == (0.0, 0.0)

    def test_what_is_beyond_its_range_counts_at_the_end_of_it(self):
        sketch = Quantiles()
        for seconds in (0.0, 1e9):
            sketch.add(seconds)
        assert sketch.quantile(0.0) == pytest.approx(1e-6, rel=0.05)
        assert sketch.quantile(1.0) == pytest.approx(86_400.0, rel=0.05)
        assert sketch.largest == 1e9

    def test_it_stays_small(self):
        sketch = Quantiles()
        for exponent in range(-9000, 9000):
            sketch.add(10 ** (exponent / 1000))
        assert len(sketch._buckets) < 270
