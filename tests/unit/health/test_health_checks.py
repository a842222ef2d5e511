"""Checks together: what they make of the whole, how seldom they are asked, and what is kept of their changes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from seawall.core import Events, Health, OptionError, Status
from seawall.health import OVERALL, Check, HealthChanged, HealthChecks
from seawall.testing import FakeClock, virtual_time
from seawall.testing.recorder import EventRecorder

HEALTHY, DEGRADED, UNHEALTHY = Status


class Dependency:
    """Counts how often it is asked, how many ask at once, and answers what it is told to."""

    def __init__(self, clock: FakeClock, status: Status = HEALTHY, *, takes: float = 0.0) -> None:
        self.clock = clock
        self.status = status
        self.takes = takes
        self.asked: list[float] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self) -> Health:
        self.asked.append(self.clock.monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes)
            return Health(status=self.status, message=f"is {self.status}")
        finally:
            self.at_once -= 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def run(clock: FakeClock) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return lambda main: virtual_time.run(main, clock=clock)


@pytest.mark.parametrize(
    ("critical", "other", "whole"),
    [
        (HEALTHY, HEALTHY, HEALTHY),
        (HEALTHY, DEGRADED, DEGRADED),
        (HEALTHY, UNHEALTHY, DEGRADED),
        (DEGRADED, HEALTHY, DEGRADED),
        (DEGRADED, UNHEALTHY, DEGRADED),
        (UNHEALTHY, HEALTHY, UNHEALTHY),
        (UNHEALTHY, UNHEALTHY, UNHEALTHY),
    ],
)
def test_whole_follows_the_worst_by_criticality(run, clock, critical, other, whole):
    checks = HealthChecks(
        [Check("one", Dependency(clock, critical)), Check("two", Dependency(clock, other), critical=False)], clock=clock
    )
    report = run(checks.run())
    assert report.status is whole
    assert [finding.health.status for finding in report.findings.values()] == [critical, other]
    ill = [f"{name} is {status}" for name, status in (("one", critical), ("two", other)) if status is not HEALTHY]
    assert report.message == ", ".join(ill)


def test_nothing_to_check_is_healthy(run, clock):
    report = run(HealthChecks(clock=clock).run())
    assert (report.status, report.message, dict(report.findings)) == (HEALTHY, "", {})


def test_slow_check_holds_up_no_other_and_each_time_is_its_own(run, clock):
    slow, quick = Dependency(clock, takes=1.5), Dependency(clock, takes=0.25)
    checks = HealthChecks([Check("slow", slow), Check("quick", quick)], clock=clock)
    report = run(checks.run())
    assert clock.monotonic() == pytest.approx(1.5)
    assert report.findings["slow"].seconds == pytest.approx(1.5)
    assert report.findings["quick"].seconds == pytest.approx(0.25)
    assert report.findings["quick"].age == pytest.approx(1.25)
    assert (clock.now() - report.findings["quick"].checked_at).total_seconds() == pytest.approx(1.25)


def test_a_thousand_probes_a_second_ask_once_per_time_to_live(run, clock):
    quick, slow = Dependency(clock), Dependency(clock, takes=0.5)
    checks = HealthChecks([Check("quick", quick, ttl=1.0), Check("slow", slow, ttl=1.0)], clock=clock)

    async def main() -> int:
        probes = []
        for _ in range(10_000):
            probes.append(asyncio.create_task(checks.run()))
            await asyncio.sleep(0.001)
        return sum(report.status is HEALTHY for report in await asyncio.gather(*probes))

    assert run(main()) == 10_000
    assert 9 <= len(quick.asked) <= 11
    assert 6 <= len(slow.asked) <= 7
    assert (quick.most_at_once, slow.most_at_once) == (1, 1)


def test_a_thousand_at_once_make_one_call(run, clock):
    dependency = Dependency(clock, takes=0.5)
    checks = HealthChecks([Check("it", dependency, ttl=0)], clock=clock)

    async def main() -> None:
        reports = await asyncio.gather(*(checks.run() for _ in range(1_000)))
        assert {report.findings["it"].health.message for report in reports} == {"is healthy"}

    run(main())
    assert len(dependency.asked) == 1
    run(checks.run())
    assert len(dependency.asked) == 2  # without a time to live each run asks anew


def test_answer_is_as_old_as_it_says(run, clock):
    checks = HealthChecks([Check("it", Dependency(clock), ttl=5.0)], clock=clock)

    async def main() -> list[float]:
        ages = []
        for _ in range(4):
            ages.append((await checks.run()).findings["it"].age)
            await asyncio.sleep(2)
        return ages

    assert run(main()) == pytest.approx([0, 2, 4, 0])


def test_check_that_hangs_is_late_and_stopped(run, clock):
    dependency = Dependency(clock, takes=3600)
    checks = HealthChecks([Check("it", dependency, timeout=2.0), Check("well", Dependency(clock))], clock=clock)

    async def main() -> None:
        report = await checks.run()
        assert clock.monotonic() == pytest.approx(2.0)
        assert report.findings["it"].health == Health(status=UNHEALTHY, message="no answer within 2 s")
        assert report.findings["it"].seconds == pytest.approx(2.0)
        assert report.findings["well"].health.status is HEALTHY
        dependency.takes = 0
        await asyncio.sleep(1)
        assert (await checks.run()).status is HEALTHY

    run(main())
    assert dependency.at_once == 0


def test_check_that_will_not_stop_is_not_started_again(run, clock):
    ended, started = asyncio.Event(), 0

    async def stubborn() -> None:
        nonlocal started
        started += 1
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError:
                continue

    checks = HealthChecks([Check("it", stubborn, timeout=2.0, ttl=1.0)], clock=clock)

    async def main() -> None:
        await checks.run()
        await asyncio.sleep(5)
        before = clock.monotonic()
        report = await checks.run()
        assert clock.monotonic() == before  # it waits for nothing
        message = "still running after 7.0 s; not called again before it ends"
        assert report.findings["it"].health == Health(status=UNHEALTHY, message=message)
        assert started == 1
        ended.set()
        await asyncio.sleep(2)
        assert (await checks.run()).status is HEALTHY
        assert started == 2

    run(main())


def test_cancelled_caller_leaves_the_check_to_the_others(run, clock):
    dependency = Dependency(clock, takes=1.0)
    checks = HealthChecks([Check("it", dependency)], clock=clock)

    async def main() -> None:
        first = asyncio.create_task(checks.run())
        await asyncio.sleep(0.2)
        second = asyncio.create_task(checks.run())
        await asyncio.sleep(0.2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await second).status is HEALTHY

    run(main())
    assert dependency.asked == [0.0]


def test_answer_is_kept_also_when_every_caller_has_left(run, clock):
    dependency = Dependency(clock, takes=1.0)
    checks = HealthChecks([Check("it", dependency, ttl=10)], clock=clock)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(checks.run(), 0.5)
        await asyncio.sleep(1)
        await checks.run()

    run(main())
    assert dependency.asked == [0.0]


def test_loop_that_ends_half_way_leaves_nothing_behind(run, clock):
    dependency = Dependency(clock, takes=1.0)
    checks = HealthChecks([Check("it", dependency)], clock=clock)

    async def half_way() -> None:
        probe = asyncio.create_task(checks.run())
        await asyncio.sleep(0.5)
        assert not probe.done()

    run(half_way())
    assert dependency.at_once == 0
    assert run(checks.run()).status is HEALTHY


def test_changes_are_told_once_each_and_kept(run, clock):
    events = Events()
    recorder = EventRecorder(events)
    dependency = Dependency(clock)
    checks = HealthChecks([Check("it", dependency, critical=False)], clock=clock, events=events)

    async def main() -> None:
        for status in (HEALTHY, HEALTHY, UNHEALTHY, UNHEALTHY, HEALTHY):
            dependency.status = status
            await checks.run()
            await asyncio.sleep(1)

    run(main())
    assert recorder.of(HealthChanged) == [
        HealthChanged(check="it", old=None, new=HEALTHY, message="is healthy"),
        HealthChanged(check=OVERALL, old=None, new=HEALTHY, message=""),
        HealthChanged(check="it", old=HEALTHY, new=UNHEALTHY, message="is unhealthy"),
        HealthChanged(check=OVERALL, old=HEALTHY, new=DEGRADED, message="it is unhealthy"),
        HealthChanged(check="it", old=UNHEALTHY, new=HEALTHY, message="is healthy"),
        HealthChanged(check=OVERALL, old=DEGRADED, new=HEALTHY, message=""),
    ]
    kept = checks.history()
    assert list(kept) == [OVERALL, "it"]
    assert [(change.new, change.at.second) for change in kept["it"]] == [(HEALTHY, 0), (UNHEALTHY, 2), (HEALTHY, 4)]
    assert [change.new for change in kept[OVERALL]] == [HEALTHY, DEGRADED, HEALTHY]


def test_one_that_recovers_while_another_fails_leaves_the_whole_as_it_was(run, clock):
    one, two = Dependency(clock, UNHEALTHY), Dependency(clock, takes=0.1)
    checks = HealthChecks([Check("one", one), Check("two", two)], clock=clock)

    async def main() -> None:
        await checks.run()
        await asyncio.sleep(2)
        one.status, two.status = HEALTHY, UNHEALTHY
        await checks.run()

    run(main())
    assert [change.new for change in checks.history()[OVERALL]] == [UNHEALTHY]


def test_history_is_bounded_and_keeps_the_last(run, clock):
    dependency = Dependency(clock)
    checks = HealthChecks([Check("it", dependency, ttl=0)], history=5, clock=clock)

    async def main() -> None:
        for number in range(1_000):
            dependency.status = Status.UNHEALTHY if number % 2 else HEALTHY
            await checks.run()
            await asyncio.sleep(1)

    run(main())
    kept = checks.history()
    assert [len(changes) for changes in kept.values()] == [5, 5]
    assert [change.new for change in kept["it"]] == [UNHEALTHY, HEALTHY, UNHEALTHY, HEALTHY, UNHEALTHY]
    assert (kept["it"][-1].at - kept["it"][0].at).total_seconds() == 4


def test_listener_that_fails_harms_no_probe(run, clock):
    def fail(_event: object) -> None:
        raise RuntimeError

    events = Events()
    events.subscribe(fail)
    assert run(HealthChecks([Check("it", Dependency(clock))], clock=clock, events=events).run()).status is HEALTHY


def test_check_added_later_is_asked_from_the_next_run_on(run, clock):
    checks = HealthChecks([Check("one", Dependency(clock))], clock=clock)

    async def main() -> None:
        assert (await checks.run()).status is HEALTHY
        checks.add(Check("two", Dependency(clock, UNHEALTHY)))
        assert (await checks.run()).status is UNHEALTHY

    run(main())
    assert [check.name for check in checks.checks] == ["one", "two"]


@pytest.mark.parametrize("name", ["one", OVERALL])
def test_taken_names_are_refused(clock, name):
    checks = HealthChecks([Check("one", Dependency(clock))], clock=clock)
    with pytest.raises(OptionError, match=f"name is '{name}'; allowed: one that is not among 'overall', 'one'"):
        checks.add(Check(name, Dependency(clock)))


@pytest.mark.parametrize("history", [0, -1, 1.5, True])
def test_impossible_history_is_refused(history):
    with pytest.raises(OptionError, match="history"):
        HealthChecks(history=history)


def test_probers_context_is_not_the_checks(run, clock):
    from contextvars import ContextVar

    tenant = ContextVar("tenant", default="nobody")
    seen: list[str] = []

    async def ask() -> None:
        seen.append(tenant.get())

    async def main() -> None:
        tenant.set("acme")
        await HealthChecks([Check("it", ask), Check("plain", lambda: seen.append(tenant.get()))], clock=clock).run()

    run(main())
    assert seen == ["nobody", "nobody"]
