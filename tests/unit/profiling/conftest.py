"""A profiler for tests."""

from typing import Any

import pytest

from seawall.profiling import Profiler, Statistics
from seawall.testing import FakeClock, virtual_time


class Bench:
    """A profiler on a clock that stands still."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.profiler = Profiler(clock=self.clock, **options)

    def run(self, main: Any) -> Any:
        return virtual_time.run(main, clock=self.clock)

    def of(self, name: str) -> Statistics:
        (found,) = [each for each in self.profiler.statistics() if each.name == name]
        return found

    @property
    def names(self) -> set[str]:
        return {each.name for each in self.profiler.statistics()}


@pytest.fixture
def bench() -> Bench:
    return Bench()
