"""Stalls: told apart, reported with measure, and never more than so many."""

import asyncio
from datetime import UTC, datetime

import pytest

from seawall.core import Events, OptionError, Status
from seawall.profiling import LoopStalled, StallWatch
from seawall.profiling.stack import Call, below_loop, short
from seawall.profiling.stalls import MOST_CALLS, MOST_STACKS, Stalls
from seawall.testing import EventRecorder, FakeClock, virtual_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Call("Handle._run", "/usr/lib/python3.11/asyncio/events.py", 80)


def call(name: str, line: int = 1) -> Call:
    return Call(name, f"/nowhere/app/{name}.py", line)


def add(stalls: Stalls, name: str, seconds: float = 0.2, at: float = 0.0, line: int = 1) -> LoopStalled | None:
    return stalls.add([call(name, line)], seconds=seconds, cpu=seconds / 2, at=at, now=NOW)


def test_stalls_with_the_same_functions_are_one_whatever_the_line():
    stalls = Stalls()
    add(stalls, "parse", 0.2, line=3)
    add(stalls, "parse", 0.5, line=9)
    add(stalls, "parse", 0.1, line=4)
    add(stalls, "draw", 0.3)
    parse, draw = stalls.list()
    assert (parse.count, parse.longest, draw.count) == (3, 0.5, 1)
    assert parse.total == pytest.approx(0.8)
    assert parse.cpu == pytest.approx(0.4)
    assert parse.stack == ("nowhere/app/parse.py:9 parse",)
    assert parse.as_dict()["last"] == "2026-01-01T00:00:00+00:00"


def test_what_goes_on_and_on_is_reported_once_a_minute_with_its_count():
    stalls = Stalls()
    reported = [event for second in range(0, 120, 2) if (event := add(stalls, "parse", at=float(second)))]
    assert [event.count for event in reported] == [1, 30]


def test_many_different_ones_at_once_are_reported_one_a_second():
    stalls = Stalls()
    reported = [add(stalls, f"f{number}", at=number / 100) for number in range(201)]
    assert sum(event is not None for event in reported) == 3


def test_the_one_seen_longest_ago_makes_room():
    stalls = Stalls()
    for number in range(MOST_STACKS):
        add(stalls, f"f{number}")
    add(stalls, "f0")
    for number in range(20):
        add(stalls, f"new{number}")
    kept = {stall.stack[0].rpartition(" ")[2] for stall in stalls.list()}
    assert len(kept) == MOST_STACKS
    assert {"f0", "new19"} <= kept
    assert "f1" not in kept


def test_of_a_deep_stack_the_innermost_calls_are_kept():
    stalls = Stalls()
    event = stalls.add([call(f"f{n}") for n in range(900)], seconds=1, cpu=1, at=0, now=NOW)
    assert event is not None
    assert len(event.stack) == MOST_CALLS
    assert event.stack[-1].endswith("f899")


class Watched:
    """A watch whose thread is played by the test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events = Events()
        self.recorder = EventRecorder(self.events)
        self.watch = StallWatch(stall_after=0.1, clock=self.clock, events=self.events)
        self.watch._watch = lambda ended: None  # type: ignore[method-assign]

    async def stall(self, seconds: float) -> None:
        """Hold the loop, looked at twice, then let it run."""
        self.clock.advance(seconds / 2)
        self.watch._look()
        self.clock.advance(seconds / 2)
        self.watch._look()
        await asyncio.sleep(0.2)


def test_a_stall_is_noticed_with_what_was_done():
    watched = Watched()

    async def handler() -> None:
        await watched.stall(0.5)

    async def main() -> None:
        async with watched.watch:
            await asyncio.sleep(1)
            await asyncio.create_task(handler())

    virtual_time.run(main(), clock=watched.clock)
    (event,) = watched.recorder.of(LoopStalled)
    assert 0.44 <= event.seconds <= 0.5
    assert 0 <= event.cpu <= event.seconds
    assert [line.rpartition(".")[2] for line in event.stack][:2] == ["handler", "stall"]
    (stall,) = watched.watch.list()
    assert (stall.count, stall.stack) == (1, event.stack)


def test_waiting_is_no_stall_and_the_watch_can_be_left():
    watched = Watched()

    async def main() -> None:
        async with watched.watch:
            for _ in range(100):
                await asyncio.sleep(0.33)
        assert watched.watch._timer is None
        watched.clock.advance(60)
        await asyncio.sleep(60)

    virtual_time.run(main(), clock=watched.clock)
    assert watched.watch.list() == []
    assert watched.recorder.events == []


def test_a_stall_that_nobody_saw_still_counts():
    watched = Watched()

    async def main() -> None:
        async with watched.watch:
            watched.clock.advance(0.4)
            await asyncio.sleep(0.2)

    virtual_time.run(main(), clock=watched.clock)
    (stall,) = watched.watch.list()
    assert "not seen" in stall.stack[0]


def test_health_is_degraded_for_a_minute_after_a_long_stall():
    watched = Watched()

    async def main() -> None:
        async with watched.watch:
            await watched.stall(0.5)
            assert (await watched.watch.check()).status is Status.HEALTHY
            await watched.stall(2.5)
            health = await watched.watch.check()
            assert health.status is Status.DEGRADED
            assert "held for 2.5 s, 0 s ago" in health.message
            await asyncio.sleep(61)
            assert (await watched.watch.check()).status is Status.HEALTHY

    virtual_time.run(main(), clock=watched.clock)


def test_a_loop_that_hangs_is_logged_once(caplog):
    watched = Watched()

    async def main() -> None:
        async with watched.watch:
            for _ in range(5):
                watched.clock.advance(11)
                watched.watch._look()
            await asyncio.sleep(0.2)

    virtual_time.run(main(), clock=watched.clock)
    (record,) = caplog.records
    assert "the event loop is held, for 11 s by now" in record.message
    assert "main" in record.message


@pytest.mark.parametrize("seconds", [0, -1, 0.001, 61, float("nan"), "soon", True])
def test_impossible_options_are_refused(seconds):
    with pytest.raises(OptionError, match="stall_after"):
        StallWatch(stall_after=seconds)


def test_stacks_begin_where_the_loop_called():
    outside, inside = call("outside"), call("inside")
    assert below_loop([outside, RUN, inside]) == [inside]
    assert below_loop([outside, Call("BaseEventLoop._run_once", "/usr/lib/asyncio/base_events.py", 1)]) == []
    idle = Call("EpollSelector.select", "/usr/lib/selectors.py", 468)
    assert below_loop([outside, Call("BaseEventLoop._run_once", "/usr/lib/asyncio/base_events.py", 1), idle]) == []
    # A loop that isn't written in Python leaves no frames of its own.
    assert below_loop([outside, Call("Runner.run", "/usr/lib/asyncio/runners.py", 1), inside]) == [inside]
    # What calls a function named as one of the loop's is not the loop.
    assert below_loop([RUN, inside, Call("run", "/nowhere/app/events.py", 1)])[0] is inside


def test_paths_tell_nothing_of_the_machine():
    assert short("<frozen importlib._bootstrap>") == "<frozen importlib._bootstrap>"
    assert short("/opt/someone/secret/place/app/views.py") == "place/app/views.py"
    assert short(asyncio.__file__) == "asyncio/__init__.py"
