"""The demo, as a newcomer runs it, and its story when it can't happen."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from podcasts.demo.checker import Checker
from podcasts.demo.cluster import Cluster
from podcasts.demo.readers import Readers
from podcasts.demo.story import Story, StoryError
from podcasts.demo.traffic import Traffic
from podcasts.demo.watch import Watch
from seawall.testing import Valkey
from tests.journeys.conftest import TOKEN

EXAMPLES = Path(__file__).parents[2] / "examples"


def demo(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "podcasts.demo", "--events", "5000", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES)},
    )


def children(pid: int) -> set[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return {int(child) for child in listed.read_text().split()} if listed.exists() else set()


def test_demo_tells_its_story_and_ends_by_itself():
    with demo("--seconds", "60", "--once") as process:
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    for seen in (
        "breaker has opened",
        "Anthropic has taken over",
        "breaker has closed",
        "memory serves",
        "reads meanwhile, none failed",
        "told what it missed",
        "all were shown what they wrote",
        "reads since, none failed",
        "has been promoted",
        "nothing was lost or stale",
        "story happened as told",
    ):
        assert seen in " ".join(output.split())


def test_ctrl_c_leaves_nothing_running():
    with demo() as process:
        assert process.stdout is not None
        while "OpenAI writes every" not in process.stdout.readline():
            assert process.poll() is None
        started = children(process.pid)
        # Stubs, service, Valkey, three PostgreSQL servers, and for each server a process that ends it with us.
        assert len(started) == 10
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


@pytest.mark.torture
def test_killed_demo_takes_its_children_along():
    with demo() as process:
        assert process.stdout is not None
        while "OpenAI writes every" not in process.stdout.readline():
            assert process.poll() is None
        started = children(process.pid)
        process.kill()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in started):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_too_short_a_demo_is_refused():
    with demo("--seconds", "3") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "allowed: 0, or 40 to 86400" in output


@pytest.mark.torture
def test_story_fails_when_nobody_takes_over(service):
    service.stubs.fault("anthropic", "error")

    async def tell() -> None:
        async with (
            Watch(service.url, TOKEN) as watch,
            Traffic(service.url, rate=20) as traffic,
            Readers(service.url) as readers,
            Checker(service.url) as checker,
        ):
            story = Story(service.stubs, watch, traffic, readers, Valkey(), checker, Cluster(), seconds=10)
            await story.tell()

    with pytest.raises(StoryError, match="Anthropic writes in OpenAI's place"):
        asyncio.run(tell())
