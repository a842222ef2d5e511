"""HTTP caching in real servers: processes agree on entity tags and share what is stored; clients leave as they like."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(**environment: str) -> Iterator[str]:
    port = _free_port()
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "tests.integration.http_cache_app:app", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(port), **environment},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        give_up = time.monotonic() + 20
        while True:
            try:
                httpx2.get(f"{url}/runs")
                break
            except httpx2.TransportError:
                assert time.monotonic() < give_up
                assert process.poll() is None
                time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        assert process.wait(10) in {0, -15}


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    with ExitStack() as running:
        yield lambda **environment: running.enter_context(server(**environment))


def test_two_processes_give_the_same_entity_tag(start):
    one, other = start(), start()
    plain = {"accept-encoding": "identity"}
    first, second = (httpx2.get(f"{url}/podcasts/7", headers=plain) for url in (one, other))
    assert first.headers["etag"] == second.headers["etag"]
    assert not first.headers["etag"].startswith("W/")
    unchanged = httpx2.get(f"{other}/podcasts/7", headers=plain | {"if-none-match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert len(unchanged.headers.get_list("date")) == 1
    assert {"etag", "cache-control", "vary"} <= set(unchanged.headers)
    assert not {"content-length", "content-type", "transfer-encoding"} & set(unchanged.headers)

    compressed = httpx2.get(f"{one}/podcasts/7", headers={"accept-encoding": "gzip"})
    assert compressed.headers["content-encoding"] == "gzip"
    assert compressed.headers["etag"] == f"W/{first.headers['etag']}"
    assert compressed.json() == first.json()
    assert len(compressed.headers.get_list("date")) == 1
    again = httpx2.get(
        f"{one}/podcasts/7", headers={"accept-encoding": "gzip", "if-none-match": compressed.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_processes_share_one_run_and_hear_of_invalidation(start, redis_url):
    environment = {"REDIS_URL": redis_url, "NAMESPACE": f"test-{uuid.uuid4().hex}"}
    urls = [start(**environment), start(**environment)]

    async def main() -> None:
        async with httpx2.AsyncClient(timeout=20) as http:

            async def runs() -> int:
                return sum([(await http.get(f"{url}/runs")).json() for url in urls])

            # The same address for both, as behind a load balancer.
            async def ask(url: str, **headers: str) -> httpx2.Response:
                return await http.get(f"{url}/podcasts/7", headers={"host": "podcasts.example"} | headers)

            answers = await asyncio.gather(*(ask(url) for url in urls * 10))
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.text for answer in answers}) == 1
            assert await runs() == 1
            assert (await ask(urls[1], **{"accept-language": "de"})).json()["language"] == "de"
            assert await runs() == 2
            assert (await http.post(f"{urls[0]}/invalidate/7")).status_code == 200
            give_up = time.monotonic() + 2
            while "age" in (await ask(urls[1])).headers:  # news takes a moment
                assert time.monotonic() < give_up
            assert await runs() == 3

    asyncio.run(main())


def test_a_client_that_disconnects_harms_nobody(start):
    url = start()

    async def main() -> None:
        async with httpx2.AsyncClient() as http:
            leaver = asyncio.create_task(http.get(f"{url}/podcasts/9"))
            await asyncio.sleep(0.05)
            others = [asyncio.create_task(http.get(f"{url}/podcasts/9")) for _ in range(5)]
            await asyncio.sleep(0.05)
            leaver.cancel()
            answers = await asyncio.gather(*others)
            assert {answer.status_code for answer in answers} == {200}
            assert (await http.get(f"{url}/runs")).json() == 1

    asyncio.run(main())
