"""The service on the worst of days. Started by `make torture`."""

import asyncio
import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from podcasts.child import child
from podcasts.demo.__main__ import service_environment
from podcasts.stubs.client import start_stubs
from tests.journeys.conftest import TOKEN, Service

pytestmark = pytest.mark.torture


def held(service: Service) -> list[dict[str, Any]]:
    """What policies hold now: calls running or waiting, trials under way."""
    return [
        statistics
        for pipeline in service.admin("GET", "/pipelines").json()["pipelines"]
        for policy in pipeline["policies"]
        if any((statistics := policy.get("statistics", {})).get(name) for name in ("running", "waiting", "trials"))
    ]


def released(service: Service, within: float = 20.0) -> bool:
    until = time.monotonic() + within
    while held(service):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Service]:
    """A service and stubs of its own, which may be killed."""
    with start_stubs(latency=0.005) as stubs:
        environment = service_environment(stubs, TOKEN, open_for=0.5, database_url=f"sqlite:///{tmp_path}/podcasts.db")
        arguments = ["podcasts", "--port=0", "--until-stdin-closes"]
        with (
            child(arguments, environment=environment) as (_, line),
            httpx2.Client(base_url=line["url"], timeout=20) as http,
        ):
            yield Service(line["url"], stubs, http, os.devnull)


def test_ten_thousand_requests_from_a_thousand_clients_half_of_whom_leave(service: Service) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    campaign = service.campaign()
    seen: Counter[str] = Counter()
    draw = random.Random(7)

    async def client(http: httpx2.AsyncClient) -> None:
        for _ in range(10):
            patience = draw.choice([0.05, 30.0])
            try:
                answer = await http.post(f"/api/v1/campaigns/{campaign}/copy", timeout=patience)
                seen[str(answer.status_code)] += 1
            except httpx2.TimeoutException:
                seen["left"] += 1
            except (httpx2.RemoteProtocolError, httpx2.NetworkError):
                # The server closed an idle connection at the moment it was used again: HTTP's own race.
                seen["raced"] += 1

    async def crowd() -> None:
        limits = httpx2.Limits(max_connections=1000)
        async with httpx2.AsyncClient(base_url=service.url, limits=limits, timeout=60) as http:
            await asyncio.gather(*(client(http) for _ in range(1000)))

    try:
        asyncio.run(crowd())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sum(seen.values()) == 10_000
    assert set(seen) <= {"200", "503", "504", "left", "raced"}, seen
    assert seen["raced"] < 100, seen
    assert "unexpected error" not in Path(service.log).read_text()
    assert released(service), held(service)
    assert service.post(f"/campaigns/{campaign}/copy").status_code in {200, 503}


def test_stopped_providers_hang_nobody_for_long_and_are_found_again(alone: Service) -> None:
    campaign = alone.campaign()
    os.kill(alone.stubs.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        answers = [alone.post(f"/campaigns/{campaign}/copy", **{"request-timeout": "8"}) for _ in range(4)]
        assert {answer.status_code for answer in answers} <= {503, 504}
        assert time.monotonic() - began < 40
        assert alone.http.get("/health").status_code == 200
    finally:
        os.kill(alone.stubs.process.pid, signal.SIGCONT)
    until = time.monotonic() + 15
    while alone.post(f"/campaigns/{campaign}/copy").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert released(alone), held(alone)


def test_killed_providers_are_refused_at_once(alone: Service) -> None:
    campaign = alone.campaign()
    alone.stubs.process.kill()
    alone.stubs.process.wait()
    for _ in range(5):
        answer = alone.post(f"/campaigns/{campaign}/copy")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
    assert released(alone), held(alone)


def test_faults_at_random_for_a_minute_lose_nothing(service: Service) -> None:
    campaign = service.campaign()
    draw = random.Random(11)
    kinds = ["slow", "rate_limited", "error", "hang", "reset", "refused"]
    statuses: Counter[int] = Counter()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for provider in ("openai", "anthropic", "deepseek", "replicate"):
            if draw.random() < 0.4:
                service.stubs.fault(provider, draw.choice(kinds))  # type: ignore[arg-type]
            else:
                service.stubs.clear(provider)
        for _ in range(3):
            began = time.monotonic()
            statuses[service.post(f"/campaigns/{campaign}/copy", **{"request-timeout": "5"}).status_code] += 1
            # A refusal takes no time: without a pace, one second of them would outweigh a minute of ad-reads.
            time.sleep(max(0.0, began + 0.15 - time.monotonic()))
    assert set(statuses) <= {200, 503, 504}, statuses
    assert statuses[200] > statuses.total() / 2, statuses
    service.stubs.clear()
    assert released(service), held(service)


def test_stopping_while_a_call_hangs_answers_it_and_ends_soon(tmp_path: Path) -> None:
    with start_stubs(latency=0.005) as stubs:
        environment = service_environment(stubs, TOKEN, open_for=0.5, database_url=f"sqlite:///{tmp_path}/podcasts.db")
        with (
            child(["podcasts", "--port=0", "--until-stdin-closes"], environment=environment) as (process, line),
            httpx2.Client(base_url=line["url"], timeout=20) as http,
            ThreadPoolExecutor(2) as pool,
        ):
            service = Service(line["url"], stubs, http, os.devnull)
            campaign = service.campaign()
            stubs.fault("openai", "hang")
            stubs.fault("stripe", "hang")
            copy = pool.submit(service.post, f"/campaigns/{campaign}/copy")
            invoice = pool.submit(service.post, f"/campaigns/{campaign}/invoice")
            while not stubs.requests()["stripe"]["in_flight"] or not stubs.requests()["openai"]["in_flight"]:
                time.sleep(0.02)
            began = time.monotonic()
            process.terminate()
            for answer in (copy.result(), invoice.result()):
                assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            process.wait(15)
            assert time.monotonic() - began < 12
