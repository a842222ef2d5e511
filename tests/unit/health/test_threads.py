"""Plain functions as checks: each in a thread of its own, which nobody can stop. On real time, since threads are."""

import asyncio
import subprocess
import sys
import threading

import pytest

from seawall.core import Status
from seawall.health import Check, HealthChecks
from seawall.testing import virtual_time

PROGRAM = """
import asyncio, threading
from seawall.health import Check, HealthChecks

async def main():
    checks = HealthChecks([Check("stuck", threading.Event().wait, timeout=0.05)])
    print((await checks.run()).findings["stuck"].health.message)

asyncio.run(main())
"""


class Stuck:
    """A function that comes back when it is released."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.released = threading.Event()
        self.calls: list[str] = []

    def __call__(self) -> None:
        self.calls.append(threading.current_thread().name)
        self.started.set()
        self.released.wait(30)


@pytest.fixture
def stuck():
    made = Stuck()
    yield made
    made.released.set()
    for thread in threads():
        thread.join(10)


def threads() -> list[threading.Thread]:
    """Those in which checks run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("health check")]


def test_function_stuck_in_a_thread_is_told_and_not_called_again_until_it_ends(stuck):
    async def main() -> None:
        checks = HealthChecks([Check("it", stuck, timeout=0.05, ttl=0), Check("well", lambda: None, timeout=10)])
        first = await checks.run()
        assert first.findings["it"].health.message == "no answer within 0.05 s"
        for _ in range(20):
            later = await checks.run()
            assert later.status is Status.UNHEALTHY
            assert later.findings["it"].health.message.startswith("still running after ")
            assert later.findings["well"].health.status is Status.HEALTHY
        assert stuck.calls == ["health check 'it'"]
        stuck.released.set()
        for thread in threads():
            thread.join(10)
        assert (await checks.run()).status is Status.HEALTHY
        assert len(stuck.calls) == 2

    asyncio.run(main())


def test_functions_stuck_leave_the_threads_of_the_loop_to_others(stuck):
    async def main() -> None:
        checks = HealthChecks([Check(f"stuck {number}", stuck, timeout=0.05) for number in range(40)])
        await checks.run()
        assert len(threads()) == 40
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "served"), 10) == "served"

    asyncio.run(main())


def test_stuck_function_outlives_its_loop_and_is_not_called_again_on_the_next(stuck):
    checks = HealthChecks([Check("it", stuck, timeout=0.05, ttl=0)])
    asyncio.run(checks.run())
    report = asyncio.run(checks.run())
    assert report.findings["it"].health.message.startswith("still running after ")
    assert len(stuck.calls) == 1


def test_stuck_function_keeps_no_process_from_ending():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("no answer within 0.05 s\n", "")


def test_loop_goes_on_while_a_function_blocks(stuck):
    async def main() -> None:
        checks = HealthChecks([Check("it", stuck, timeout=10)])
        probe = asyncio.create_task(checks.run())
        assert await asyncio.to_thread(stuck.started.wait, 10)
        stuck.released.set()
        assert (await probe).status is Status.HEALTHY

    asyncio.run(main())


def test_caller_cancelled_while_a_function_blocks_gets_away_at_once(stuck):
    async def main() -> None:
        checks = HealthChecks([Check("it", stuck, timeout=10, ttl=60)])
        probe = asyncio.create_task(checks.run())
        assert await asyncio.to_thread(stuck.started.wait, 10)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        stuck.released.set()
        assert (await checks.run()).status is Status.HEALTHY
        assert len(stuck.calls) == 1

    asyncio.run(main())


def test_quick_functions_are_never_late_on_virtual_time():
    async def main() -> None:
        checks = HealthChecks([Check("it", lambda: None, timeout=0.001, ttl=0)])
        for _ in range(20):
            assert (await checks.run()).status is Status.HEALTHY

    virtual_time.run(main())


def test_where_no_thread_can_be_started_the_check_has_failed_and_is_tried_again(monkeypatch):
    async def main() -> None:
        checks = HealthChecks([Check("it", lambda: None, ttl=0)])

        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            report = await checks.run()
            assert report.findings["it"].health.message == "check failed: RuntimeError"
        assert (await checks.run()).status is Status.HEALTHY

    virtual_time.run(main())
