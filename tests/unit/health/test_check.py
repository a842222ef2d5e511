"""What a check is made of, and what its function may answer."""

import asyncio
import functools
import logging
from typing import Any

import pytest

from seawall.core import Health, OptionError, Status, deadline
from seawall.health import Check, HealthChecks
from seawall.testing import FakeClock, virtual_time

SECRET = "postgresql://app:hunter2@db"


def found(function: Any, **options: Any) -> Health:
    clock = FakeClock()

    async def main() -> Health:
        report = await HealthChecks([Check("it", function, **options)], clock=clock).run()
        return report.findings["it"].health

    return virtual_time.run(main(), clock=clock)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": " "}, "name is ' '"),
        ({"name": 3}, "name is 3"),
        ({"function": "ping"}, "function is 'ping'"),
        ({"critical": "yes"}, "critical is 'yes'"),
        ({"timeout": 0}, "timeout is 0; allowed: a number above 0"),
        ({"timeout": None}, "timeout is None"),
        ({"ttl": -1}, "ttl is -1; allowed: a number at least 0"),
        ({"ttl": float("nan")}, "ttl is nan"),
    ],
)
def test_impossible_options_are_refused(options, told):
    with pytest.raises(OptionError, match=told):
        Check(**({"name": "it", "function": lambda: None} | options))


async def nothing() -> None: ...


class Called:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize("function", [nothing, Called(), functools.partial(nothing), lambda: nothing(), lambda: None])
def test_no_answer_is_a_good_answer(function):
    assert found(function) == Health(status=Status.HEALTHY)


def test_an_answer_is_passed_on_whole():
    inner = {"replica": Health(status=Status.DEGRADED, message="behind")}
    answer = Health(status=Status.DEGRADED, message="no replica", checks=inner)

    async def ask() -> Health:
        return answer

    assert found(ask) is answer
    assert found(lambda: answer) is answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (True, "the check returned bool; allowed: Health or None"),
        ("fine", "the check returned str"),
        (Health(status="fine"), "no Status"),  # type: ignore[arg-type]
        (Health(status=Status.HEALTHY, message=b"fine"), "no string"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_health_is_unhealthy(answer, told):
    health = found(lambda: answer)
    assert health.status is Status.UNHEALTHY
    assert told in health.message


@pytest.mark.parametrize("error", [OSError(SECRET), StopIteration(SECRET), RuntimeError(SECRET), TimeoutError(SECRET)])
def test_only_the_type_of_an_error_is_told(error, caplog):
    caplog.set_level(logging.DEBUG)

    def fail() -> None:
        raise error

    health = found(fail)
    assert health == Health(status=Status.UNHEALTHY, message=f"check failed: {type(error).__name__}")
    assert SECRET not in caplog.text


def test_error_of_a_coroutine_is_a_finding():
    async def fail() -> None:
        raise OSError(SECRET)

    assert found(fail) == Health(status=Status.UNHEALTHY, message="check failed: OSError")


def test_waiting_for_what_was_cancelled_is_a_failure_and_cancels_nobody():
    async def ask() -> None:
        other = asyncio.ensure_future(asyncio.sleep(9))
        other.cancel()
        await other

    assert found(ask) == Health(status=Status.UNHEALTHY, message="check failed: CancelledError")


def test_a_check_has_its_timeout_as_deadline_whatever_its_asker_has():
    clock = FakeClock()
    left: list[float | None] = []

    async def ask() -> None:
        left.append(deadline.remaining(clock=clock))

    def ask_plainly() -> None:
        left.append(deadline.remaining(clock=clock))

    async def main() -> None:
        with deadline.within(0.1, clock=clock):
            checks = HealthChecks([Check("a", ask, timeout=3.0), Check("b", ask_plainly, timeout=3.0)], clock=clock)
            await checks.run()

    virtual_time.run(main(), clock=clock)
    assert left == [3.0, 3.0]


def test_a_part_brings_its_check():
    class Database:
        name = "database"

        async def check(self) -> Health:
            return Health(status=Status.DEGRADED, message="no replica")

    check = Check.of(Database(), critical=False, timeout=1.5, ttl=4.0)
    assert (check.name, check.critical, check.timeout, check.ttl) == ("database", False, 1.5, 4.0)
    assert found(check.function).message == "no replica"
