"""A clock that stands still, and a loop whose time it is."""

import pytest

from seawall.testing import FakeClock, virtual_time


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def run(clock):
    return lambda main: virtual_time.run(main, clock=clock)
