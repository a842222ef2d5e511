import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import OptionError, deadline
from seawall.testing import FakeClock, virtual_time


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_there_is_none_at_first(clock):
    assert deadline.remaining(clock=clock) is None
    assert deadline.to_header(clock=clock) is None
    assert deadline.bounded(None, clock=clock) is None
    assert deadline.bounded(3.0, clock=clock) == 3.0


def test_it_runs_out_and_then_nothing_remains(clock):
    with deadline.within(2.0, clock=clock):
        clock.advance(0.5)
        assert deadline.remaining(clock=clock) == 1.5
        clock.advance(9)
        assert deadline.remaining(clock=clock) == 0.0
    assert deadline.remaining(clock=clock) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
def test_nested_ones_only_get_tighter(durations):
    clock = FakeClock()

    def nest(inner: list[float], tightest: float) -> None:
        assert deadline.remaining(clock=clock) == (None if tightest == math.inf else tightest)
        if inner:
            with deadline.within(inner[0], clock=clock):
                nest(inner[1:], min(tightest, inner[0]))
            assert deadline.remaining(clock=clock) == (None if tightest == math.inf else tightest)

    nest(durations, math.inf)


def test_it_ends_with_its_block_also_by_an_error(clock):
    with deadline.within(5, clock=clock):
        with pytest.raises(KeyError), deadline.within(1, clock=clock):
            raise KeyError
        assert deadline.remaining(clock=clock) == 5


def test_what_is_shielded_has_none(clock):
    with deadline.within(1, clock=clock):
        with deadline.shielded():
            assert deadline.remaining(clock=clock) is None
            with deadline.within(30, clock=clock):
                assert deadline.remaining(clock=clock) == 30
        assert deadline.remaining(clock=clock) == 1


def test_bounded_is_the_shorter_of_both(clock):
    with deadline.within(2, clock=clock):
        assert deadline.bounded(5, clock=clock) == 2
        assert deadline.bounded(1, clock=clock) == 1
        assert deadline.bounded(None, clock=clock) == 2


def test_tasks_inherit_it_and_keep_theirs_to_themselves(clock):
    async def child() -> float | None:
        with deadline.within(1, clock=clock):
            await asyncio.sleep(0)
            return deadline.remaining(clock=clock)

    async def main() -> None:
        with deadline.within(4, clock=clock):
            task = asyncio.create_task(child())
            other = asyncio.create_task(asyncio.to_thread(deadline.remaining, clock=clock))
        assert await task == 1
        assert await other == 4
        assert deadline.remaining(clock=clock) is None

    virtual_time.run(main(), clock=clock)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "2", None, True])
def test_an_impossible_duration_is_refused(seconds):
    with pytest.raises(OptionError, match=r"deadline.within: seconds is .*; allowed: a number at least 0"):
        deadline.within(seconds).__enter__()


@given(st.floats(0, 1e6))
def test_the_header_brings_the_same_seconds_to_a_millisecond(seconds):
    clock = FakeClock()
    with deadline.within(seconds, clock=clock):
        arrived = deadline.from_header(deadline.to_header(clock=clock))
    assert arrived == pytest.approx(seconds, abs=0.00051)


def test_a_passed_deadline_travels_as_zero(clock):
    with deadline.within(1, clock=clock):
        clock.advance(3)
        assert deadline.to_header(clock=clock) == "0.000"
        assert deadline.from_header("0.000") == 0.0


@pytest.mark.parametrize(
    "value", [None, "", " ", "soon", "-1", "-0.001", "nan", "inf", "-inf", "Infinity", "1e999", "1,5", "0x10", "2 s"]
)
def test_a_header_without_a_sensible_number_is_none(value):
    assert deadline.from_header(value) is None


@given(st.text())
def test_no_header_breaks_the_parser(value):
    seconds = deadline.from_header(value)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
