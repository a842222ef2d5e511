import time
from datetime import UTC

from seawall.core import SYSTEM_CLOCK, Clock, SystemClock
from seawall.testing import FakeClock


def test_system_clock_reads_the_monotonic_clock():
    before = time.monotonic()
    reading = SYSTEM_CLOCK.monotonic()
    assert before <= reading <= time.monotonic()


def test_system_clock_sleeps_in_real_time():
    before = time.monotonic()
    SYSTEM_CLOCK.sleep(0.001)
    assert time.monotonic() - before >= 0.001


def test_time_of_day_is_in_utc():
    assert SYSTEM_CLOCK.now().tzinfo is UTC
    assert abs(SYSTEM_CLOCK.now().timestamp() - time.time()) < 1


def test_both_clocks_fit_the_protocol():
    clocks: list[Clock] = [SystemClock(), FakeClock()]
    assert [repr(clock) for clock in clocks] == ["SystemClock()", "FakeClock(0 s)"]
