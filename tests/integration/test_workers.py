"""Several worker processes of a real server, one of which is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

HERE = Path(__file__).parent


@pytest.fixture(params=["told", "found"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a server whose workers are told where to share their metrics, or find out by themselves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "LOG_LEVEL": "WARNING", "TMPDIR": str(tmp_path)}
    if request.param == "told":
        environment["SEAWALL_METRICS_FOLDER"] = str(tmp_path / "metrics")
    server = subprocess.Popen(
        [
            sys.executable, "-m", "uvicorn", "tests.integration.workers_app:app", "--port", str(port), "--workers", "3",
            "--log-level", "warning",
        ],
        cwd=HERE.parents[1], env=environment,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)
        if request.param == "found":
            assert not list(tmp_path.rglob("*.values")), "a folder of our own making goes with its last process"


_client = httpx2.Client(limits=httpx2.Limits(max_keepalive_connections=0))


def metrics(url: str) -> dict[str, float]:
    lines = ask(url, "/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def ask(url: str, path: str) -> httpx2.Response:
    """Over a connection of its own, so that any worker may take it; patient while one is replaced."""
    until = time.monotonic() + 30
    while True:
        try:
            return _client.get(url + path, timeout=10)
        except httpx2.HTTPError:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_metrics_are_those_of_all_workers_and_a_killed_one_loses_nothing(url):
    ask(url, "/health")
    while metrics(url).get("service_processes") != 3:
        time.sleep(0.1)
    processes = Counter(ask(url, "/make/a").json() for _ in range(60))
    assert len(processes) > 1, "the kernel gave all connections to one worker"
    for _ in range(6):
        assert metrics(url)['things_made_total{kind="a"}'] == 60
    route = 'http_requests_total{method="GET",route="/make/{kind}",status="200"}'
    time.sleep(0.5)  # requests are told in batches, 20 ms later on a machine that isn't busy
    assert metrics(url)[route] == 60
    assert metrics(url)['http_request_duration_seconds_count{method="GET",route="/make/{kind}"}'] == 60
    before = metrics(url)["process_resident_memory_bytes"]
    os.kill(next(iter(processes)), signal.SIGKILL)
    for _ in range(20):
        found = metrics(url)
        assert (found['things_made_total{kind="a"}'], found[route]) == (60, 60)
        assert found["process_resident_memory_bytes"] < before * 1.2
    until = time.monotonic() + 20
    while metrics(url)["service_processes"] != 3:  # the server starts another
        assert time.monotonic() < until
        time.sleep(0.2)
    for _ in range(30):
        ask(url, "/make/b")
    for _ in range(6):
        found = metrics(url)
        assert (found['things_made_total{kind="a"}'], found['things_made_total{kind="b"}']) == (60, 30)
