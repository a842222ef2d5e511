"""Chaos: faults by script, by rate, and switched on and off."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.core import Events, OptionError, deadline
from seawall.resilience import (
    CallTimeoutError,
    Chaos,
    Failure,
    FaultInjected,
    Hang,
    InjectedError,
    Latency,
    Pipeline,
    Reset,
    Retry,
    Timeout,
)
from seawall.testing import EventRecorder, FakeClock, virtual_time


async def answer() -> str:
    await asyncio.sleep(0)
    return "well"


def outcomes(policy: Chaos, clock: FakeClock, calls: int) -> list[tuple[str, float]]:
    """What each call ended in, and how long it took."""

    async def main() -> list[tuple[str, float]]:
        found = []
        for _ in range(calls):
            begun = clock.monotonic()
            result = (await asyncio.gather(policy.call(answer), return_exceptions=True))[0]
            found.append((result if isinstance(result, str) else type(result).__name__, clock.monotonic() - begun))
        return found

    return virtual_time.run(main(), clock=clock)


def test_script_gives_each_call_its_fault_and_then_none() -> None:
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    script = [Reset(), None, Latency(2.0), Failure(), Failure(ZeroDivisionError), Hang(30.0)]
    policy = Chaos(script=script, clock=clock, name="c", events=events)
    assert outcomes(policy, clock, 7) == [
        ("ConnectionResetError", 0.0),
        ("well", 0.0),
        ("well", 2.0),
        ("InjectedError", 0.0),
        ("ZeroDivisionError", 0.0),
        ("ConnectionResetError", 30.0),
        ("well", 0.0),
    ]
    statistics = policy.statistics()
    assert (statistics.calls, statistics.injected) == (7, {"Reset": 1, "Latency": 1, "Failure": 2, "Hang": 1})
    assert recorder.events[0] == FaultInjected(policy="c", fault="Reset")
    assert len(recorder.events) == 5


def test_def_meets_the_same_faults_on_its_clock() -> None:
    clock = FakeClock()
    policy = Chaos(script=[Latency(2.0), Hang(30.0), Hang(30.0)], clock=clock)
    call = policy(clock.monotonic)
    assert call() == 2.0
    with pytest.raises(ConnectionResetError, match="reset this call on purpose"):
        call()
    assert clock.monotonic() == 32.0
    with deadline.within(1.0, clock=clock), pytest.raises(ConnectionResetError):
        call()
    assert clock.monotonic() == 33.0


def test_rate_is_the_share_of_calls_and_the_seed_repeats_it() -> None:
    def injected(seed: int) -> list[str]:
        policy = Chaos(Reset(), Failure(), rate=0.3, seed=seed)
        return [end for end, _ in outcomes(policy, FakeClock(), 1000)]

    first = injected(1)
    assert 250 < 1000 - first.count("well") < 350
    assert 100 < first.count("ConnectionResetError") < 200
    assert injected(1) == first
    assert injected(2) != first


@given(st.sampled_from([0.0, 1.0]), st.integers(0, 5))
def test_all_or_none(rate: float, calls: int) -> None:
    policy = Chaos(Reset(), rate=rate)
    assert [end != "well" for end, _ in outcomes(policy, FakeClock(), calls)] == [rate == 1.0] * calls


def test_switch_works_while_running_and_keeps_the_script() -> None:
    clock = FakeClock()
    policy = Chaos(script=[Reset()], enabled=False, clock=clock)
    assert outcomes(policy, clock, 2) == [("well", 0.0)] * 2
    assert (repr(policy), policy.statistics().enabled) == ("Chaos('unnamed', off)", False)
    policy.enabled = True
    assert outcomes(policy, clock, 2) == [("ConnectionResetError", 0.0), ("well", 0.0)]


def test_hang_is_cut_by_a_timeout_around_it() -> None:
    clock = FakeClock()
    call = Pipeline("p", Timeout(2.0, clock=clock), Chaos(Hang(), clock=clock))(answer)

    async def main() -> None:
        with pytest.raises(CallTimeoutError):
            await call()
        assert clock.monotonic() == pytest.approx(2.0, abs=0.001)

    virtual_time.run(main(), clock=clock)


def test_policies_outside_see_the_faults() -> None:
    clock = FakeClock()
    retry = Retry(on=(ConnectionResetError, InjectedError), clock=clock)
    call = Pipeline("p", retry, Chaos(script=[Reset(), Failure()], clock=clock))(answer)
    assert virtual_time.run(call(), clock=clock) == "well"
    assert retry.statistics().retried == 2


def test_stream_and_block_meet_a_fault_before_they_begin() -> None:
    policy, begun = Chaos(Reset()), []

    @policy
    def stream() -> Any:
        begun.append(1)
        yield 1

    with pytest.raises(ConnectionResetError):
        list(stream())
    with pytest.raises(ConnectionResetError), policy.guard():
        begun.append(2)
    assert begun == []


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Chaos(Reset(), rate=1.5), "rate"),
        (lambda: Chaos(OSError), "faults"),  # type: ignore[arg-type]
        (lambda: Chaos(script=[Reset]), "faults"),  # type: ignore[list-item]
        (lambda: Latency(-1.0), "seconds"),
        (lambda: Hang(-1.0), "seconds"),
        (lambda: Failure(5), "error"),  # type: ignore[arg-type]
    ],
)
def test_impossible_options_are_refused(make: Any, named: str) -> None:
    with pytest.raises(OptionError, match=f": {named} is"):
        make()
