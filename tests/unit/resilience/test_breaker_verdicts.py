"""What a breaker holds against a dependency, and what it doesn't."""

import asyncio
from collections.abc import Callable

import pytest

from seawall.core import OptionError, deadline
from seawall.resilience import CallTimeoutError, CircuitBreaker, CircuitOpenError, Pipeline, Timeout
from seawall.testing import FakeClock, virtual_time


def impatient(breaker: CircuitBreaker, clock: FakeClock, calls: int) -> None:
    """Callers who give the dependency one second each, while its timeout is ten."""

    @Pipeline("p", breaker, Timeout(10.0), clock=clock)
    async def call() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        for _ in range(calls):
            with deadline.within(1.0, clock=clock), pytest.raises(CallTimeoutError) as caught:
                await call()
            assert caught.value.cut_by == "deadline"

    virtual_time.run(main(), clock=clock)


def test_impatient_callers_open_no_breaker(clock):
    breaker = CircuitBreaker.consecutive(failures=3, clock=clock)
    impatient(breaker, clock, calls=20)
    assert breaker.state == "closed"
    assert breaker.statistics().failed == 0


def test_impatient_callers_open_one_that_knows_what_slow_is(clock):
    breaker = CircuitBreaker.consecutive(failures=3, slow_call=0.5, clock=clock)
    impatient(breaker, clock, calls=3)
    assert breaker.state == "open"


def test_impatient_caller_gives_the_trial_back(clock):
    breaker = CircuitBreaker.consecutive(failures=1, open_for=5.0, successes=1, clock=clock)
    breaker.open()
    clock.advance(5.0)
    impatient(breaker, clock, calls=3)
    assert (breaker.state, breaker.statistics().trials) == ("half_open", 0)


def test_its_own_timeout_counts_as_failure(clock):
    breaker = CircuitBreaker.consecutive(failures=2, clock=clock)

    @Pipeline("p", breaker, Timeout(1.0), clock=clock)
    async def call() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(CallTimeoutError):
                await call()

    virtual_time.run(main(), clock=clock)
    assert breaker.state == "open"


def hanging(breaker: CircuitBreaker, clock: FakeClock, *, others_pass: bool) -> None:
    """Three calls that hang, and others that come while they do."""

    @breaker
    async def call(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def main() -> None:
        hung = [asyncio.create_task(call(1000)) for _ in range(3)]
        try:
            for _ in range(40):
                await asyncio.sleep(0.25)
                if others_pass:
                    await call(0.0)
            await call(0.0)
        finally:
            for task in hung:
                task.cancel()

    virtual_time.run(main(), clock=clock)


def test_hung_calls_stand_in_a_row_of_failures(clock):
    with pytest.raises(CircuitOpenError):
        hanging(CircuitBreaker.consecutive(failures=3, slow_call=1.0, clock=clock), clock, others_pass=False)


def test_hung_calls_stand_in_no_row_while_others_pass(clock):
    breaker = CircuitBreaker.consecutive(failures=3, slow_call=1.0, clock=clock)
    hanging(breaker, clock, others_pass=True)
    assert breaker.state == "closed"


def test_joining_a_pipeline_leaves_woven_functions_their_clock(clock):
    breaker = CircuitBreaker.consecutive("late", failures=1)

    @breaker
    def fail() -> None:
        raise ConnectionResetError

    Pipeline("p", breaker, clock=clock)
    with pytest.raises(ConnectionResetError):
        fail()
    assert breaker.state == "open"


def test_failures_without_consecutive_are_refused():
    with pytest.raises(OptionError, match="failures is 3; allowed: nothing; use"):
        CircuitBreaker("x", failures=3)


def test_misspelt_option_is_named():
    with pytest.raises(TypeError, match="CircuitBreaker has no option 'open_fro'; there are: failure_rate"):
        CircuitBreaker("x", open_fro=3)  # type: ignore[call-arg]


def silent_driver(clock: FakeClock) -> Callable[[], None]:
    """A driver that gives its socket what is left of the deadline."""

    def hang() -> None:
        clock.advance(deadline.remaining(clock=clock) or 0.0)
        raise TimeoutError("the socket's")

    return hang


def test_a_timeout_further_in_that_had_less_time_than_its_own_hides_no_failure(clock):
    breaker = CircuitBreaker.consecutive(failures=3, clock=clock)
    driver = Pipeline("driver", Timeout(2.0), clock=clock)(silent_driver(clock))
    service = Pipeline("service", breaker, Timeout(0.5), clock=clock)(driver)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            service()
    assert breaker.state == "open"


def test_an_impatient_callers_socket_opens_no_breaker(clock):
    breaker = CircuitBreaker.consecutive(failures=3, clock=clock)
    service = Pipeline("service", breaker, Timeout(2.0), clock=clock)(silent_driver(clock))
    for _ in range(10):
        with deadline.within(0.5, clock=clock), pytest.raises(TimeoutError):
            service()
    assert (breaker.state, breaker.statistics().failed) == ("closed", 0)


def test_an_error_that_a_client_keeps_counts_again_although_it_once_came_late(clock):
    class Client:
        lost = ConnectionError("lost")

        def call(self) -> None:
            clock.advance(1.0)
            raise self.lost

    breaker = CircuitBreaker.consecutive(failures=3, clock=clock)
    call = Pipeline("service", breaker, Timeout(20.0), clock=clock)(Client().call)
    with deadline.within(0.5, clock=clock), pytest.raises(ConnectionError):
        call()
    assert breaker.statistics().failed == 0
    for _ in range(3):
        with pytest.raises(ConnectionError):
            call()
    assert breaker.state == "open"


def test_an_error_that_nothing_can_be_set_on_is_raised_as_it_is(clock):
    class StrictError(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise TypeError("immutable")

    def call() -> None:
        clock.advance(1.0)
        raise StrictError

    with deadline.within(0.5, clock=clock), pytest.raises(StrictError):
        Timeout(20.0, clock=clock).call(call)
