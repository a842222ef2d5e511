from datetime import UTC, datetime, timedelta

import pytest

from seawall.testing import FakeClock


def test_it_stands_still_until_it_is_advanced():
    clock = FakeClock()
    began = clock.now()
    assert (clock.monotonic(), clock.monotonic()) == (0, 0)
    clock.advance(90)
    assert clock.monotonic() == 90
    assert clock.now() - began == timedelta(seconds=90)


def test_sleep_advances_it():
    clock = FakeClock()
    clock.sleep(1.5)
    assert clock.monotonic() == 1.5


def test_its_day_is_as_given_and_in_utc():
    start = datetime(2030, 5, 1, 12, tzinfo=UTC)
    assert FakeClock(start).now() == start
    assert FakeClock().now().tzinfo is UTC


def test_it_goes_to_a_moment_exactly_and_never_back():
    clock = FakeClock()
    clock.advance(0.1)
    clock.advance_to(0.3)
    assert clock.monotonic() == 0.3
    clock.advance_to(0.2)
    assert clock.monotonic() == 0.3


@pytest.mark.parametrize("move", ["advance", "sleep"])
def test_going_backwards_is_refused(move):
    with pytest.raises(ValueError, match=r"a clock can't go backwards: advance\(-1\)"):
        getattr(FakeClock(), move)(-1)


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="backwards"):
        FakeClock().advance(float("nan"))
