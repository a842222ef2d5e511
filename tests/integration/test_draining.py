"""A real server that is told to end: readiness fails first, requests are served on, then it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2


def test_readiness_fails_at_sigterm_and_requests_are_served_until_the_delay_is_over():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, root = f"http://127.0.0.1:{port}", Path(__file__).parents[2]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "tests.integration.workers_app:app", "--port", str(port)],
        cwd=root, env={**os.environ, "SEAWALL_DRAIN_DELAY": "2"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while True:
            try:
                if httpx2.get(f"{url}/health/ready").status_code == 200:
                    break
            except httpx2.HTTPError:
                assert time.monotonic() < until
            time.sleep(0.1)
        told = time.monotonic()
        server.send_signal(signal.SIGTERM)
        while httpx2.get(f"{url}/health/ready").status_code != 503:
            assert time.monotonic() - told < 1.5
        assert httpx2.get(f"{url}/make/late").status_code == 200
        _, log = server.communicate(timeout=20)
        assert 1.9 < time.monotonic() - told < 10
        assert "drains" in log
    finally:
        server.kill()
        server.wait()
