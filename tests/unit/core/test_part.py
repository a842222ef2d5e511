import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from seawall.core import Health, Lifecycle, Part, Status
from seawall.testing import FakeClock, virtual_time

Check = Callable[[], Coroutine[Any, Any, Health]]

HEALTHY = Health(status=Status.HEALTHY)


async def healthy() -> Health:
    return HEALTHY


class Recorded:
    """A part that writes into a diary when it starts and stops."""

    def __init__(
        self,
        name: str,
        diary: list[str],
        *,
        start: Callable[[], Awaitable[object]] | None = None,
        stop: Callable[[], Awaitable[object]] | None = None,
        check: Check = healthy,
    ) -> None:
        self.name = name
        self._diary = diary
        self._start = start
        self._stop = stop
        self.check = check

    async def __aenter__(self):
        if self._start is not None:
            await self._start()
        self._diary.append(f"+{self.name}")
        return self

    async def __aexit__(self, kind, error, trace):
        self._diary.append(f"-{self.name}")
        return await self._stop() if self._stop is not None else None


def failing(error: BaseException) -> Check:
    async def fail() -> Health:
        raise error

    return fail


def test_a_recorded_part_is_a_part():
    assert isinstance(Recorded("a", []), Part)


def test_parts_start_in_order_and_stop_in_reverse():
    diary: list[str] = []

    async def main() -> None:
        async with Lifecycle([Recorded(name, diary) for name in "abc"]):
            assert diary == ["+a", "+b", "+c"]

    virtual_time.run(main())
    assert diary == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_a_failing_start_stops_what_has_started():
    diary: list[str] = []
    error = OSError("port taken")
    lifecycle = Lifecycle([Recorded("a", diary), Recorded("b", diary, start=failing(error)), Recorded("c", diary)])

    async def main() -> None:
        with pytest.raises(OSError, match="port taken"):
            await lifecycle.__aenter__()
        lifecycle.add(Recorded("d", diary))  # it does not run, so it can be changed

    virtual_time.run(main())
    assert diary == ["+a", "-a"]


def test_a_start_cancelled_half_way_stops_what_has_started():
    diary: list[str] = []
    slow = Recorded("b", diary, start=lambda: asyncio.sleep(60))

    async def main() -> None:
        task = asyncio.create_task(Lifecycle([Recorded("a", diary), slow]).__aenter__())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual_time.run(main())
    assert diary == ["+a", "-a"]


def test_a_part_that_swallows_errors_does_not_hide_a_failed_start():
    diary: list[str] = []

    async def swallow() -> bool:
        return True

    parts = [Recorded("a", diary, stop=swallow), Recorded("b", diary, start=failing(OSError("no")))]

    async def main() -> None:
        with pytest.raises(OSError, match="no"):
            await Lifecycle(parts).__aenter__()

    virtual_time.run(main())
    assert diary == ["+a", "-a"]


def test_a_failing_stop_keeps_nobody_from_stopping_and_is_raised():
    diary: list[str] = []
    parts = [Recorded("a", diary), Recorded("b", diary, stop=failing(ValueError("b"))), Recorded("c", diary)]

    async def main() -> None:
        async with Lifecycle(parts):
            pass

    with pytest.raises(ValueError, match="b"):
        virtual_time.run(main())
    assert diary == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_an_error_in_the_service_stops_the_parts_and_goes_on():
    diary: list[str] = []

    async def main() -> None:
        async with Lifecycle([Recorded("a", diary)]):
            raise KeyError(1)

    with pytest.raises(KeyError):
        virtual_time.run(main())
    assert diary == ["+a", "-a"]


def test_it_can_be_entered_again_after_it_was_left_but_not_while_it_runs():
    diary: list[str] = []
    lifecycle = Lifecycle([Recorded("a", diary)])

    async def main() -> None:
        async with lifecycle:
            with pytest.raises(RuntimeError, match="running already"):
                await lifecycle.__aenter__()
        async with lifecycle:
            pass

    virtual_time.run(main())
    assert diary == ["+a", "-a"] * 2


def test_it_can_not_be_entered_or_added_to_while_it_starts():
    diary: list[str] = []
    lifecycle = Lifecycle([Recorded("a", diary, start=lambda: asyncio.sleep(5))])

    async def main() -> None:
        starting = asyncio.create_task(lifecycle.__aenter__())
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError, match="running already"):
            await lifecycle.__aenter__()
        with pytest.raises(RuntimeError, match="'b' can't be added while the service runs"):
            lifecycle.add(Recorded("b", diary))
        await starting
        await lifecycle.__aexit__(None, None, None)

    virtual_time.run(main())
    assert diary == ["+a", "-a"]


def test_leaving_what_was_never_entered_does_nothing():
    async def main() -> None:
        assert await Lifecycle().__aexit__(None, None, None) is None

    virtual_time.run(main())


def test_a_name_is_taken_once():
    lifecycle = Lifecycle([Recorded("a", [])])
    with pytest.raises(ValueError, match="there is a part 'a' already"):
        lifecycle.add(Recorded("a", []))
    with pytest.raises(ValueError, match="there is a part 'b' already"):
        Lifecycle([Recorded("b", []), Recorded("b", [])])


def found(**checks: Check) -> tuple[dict[str, Health], float]:
    clock = FakeClock()
    lifecycle = Lifecycle([Recorded(name, [], check=check) for name, check in checks.items()])

    async def main() -> dict[str, Health]:
        return await lifecycle.check(timeout=2.0)

    return virtual_time.run(main(), clock=clock), clock.monotonic()


async def hanging() -> Health:
    await asyncio.sleep(3600)
    return HEALTHY


async def slow() -> Health:
    await asyncio.sleep(1.5)
    return HEALTHY


async def waits_for_a_cancelled_task() -> Health:
    task = asyncio.create_task(asyncio.sleep(10))
    task.cancel()
    await task
    return HEALTHY


def test_checks_run_side_by_side_within_the_timeout():
    health, took = found(a=slow, b=slow, c=hanging)
    assert (health["a"], health["b"]) == (HEALTHY, HEALTHY)
    assert health["c"] == Health(status=Status.UNHEALTHY, message="no answer within 2 s")
    assert took == 2.0


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (failing(OSError("refused")), "OSError"),
        (failing(TimeoutError("its own")), "TimeoutError"),
        (waits_for_a_cancelled_task, "CancelledError"),
    ],
)
def test_a_raising_check_is_a_finding_that_names_the_error(check, name):
    health, took = found(a=healthy, b=check)
    assert health == {"a": HEALTHY, "b": Health(status=Status.UNHEALTHY, message=f"check failed: {name}")}
    assert took == 0


def test_a_cancelled_check_stays_cancelled():
    async def main() -> None:
        task = asyncio.create_task(Lifecycle([Recorded("a", [], check=hanging)]).check(timeout=60))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual_time.run(main())
