"""The httpx2 transport and the requests adapter, against a real server; one suite for both."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import requests

from seawall.core import Events, deadline
from seawall.resilience import (
    AIMD,
    AdaptiveLimit,
    CallTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    DeadlineExceededError,
    Fallback,
    Pipeline,
    Retry,
    Timeout,
)
from seawall.resilience.http import ResponseError, idempotent
from seawall.resilience.httpx2 import PipelineTransport
from seawall.resilience.requests import PipelineAdapter
from seawall.testing import EventRecorder
from tests.integration.scripted_server import ScriptedServer, scripted_server

Send = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


def send_by_httpx2(pipeline: Pipeline, method: str, url: str, **headers: str) -> tuple[int, dict[str, Any]]:
    async def send() -> tuple[int, dict[str, Any]]:
        async with httpx2.AsyncClient(transport=PipelineTransport(pipeline)) as client:
            answer = await client.request(method, url, headers=headers)
            return answer.status_code, answer.json()

    return asyncio.run(send())


def send_by_requests(pipeline: Pipeline, method: str, url: str, **headers: str) -> tuple[int, dict[str, Any]]:
    with requests.Session() as session:
        session.mount("http://", PipelineAdapter(pipeline))
        with session.request(method, url, headers=headers) as answer:
            return answer.status_code, answer.json()


@pytest.fixture(params=[send_by_httpx2, send_by_requests], ids=["httpx2", "requests"])
def send(request: pytest.FixtureRequest) -> Send:
    found: Send = request.param
    return found


FAILURES = (httpx2.TransportError, requests.ConnectionError, requests.Timeout, ResponseError)


def retrying(**options: Any) -> Retry:
    return Retry(on=FAILURES, first_delay=0.0, idempotent=idempotent, **options)


def test_failed_statuses_are_retried_and_the_answer_is_the_last(server: ScriptedServer, send: Send) -> None:
    server.script = [(503, {}), (500, {})]
    assert send(Pipeline("p", retrying()), "GET", server.url) == (200, {"attempt": 3})


def test_the_client_gets_the_failed_response_when_attempts_are_used_up(server: ScriptedServer, send: Send) -> None:
    server.script = [(503, {})] * 3
    assert send(Pipeline("p", retrying()), "GET", server.url) == (503, {"attempt": 3})


def test_other_statuses_are_answers(server: ScriptedServer, send: Send) -> None:
    server.script = [(404, {})]
    breaker = CircuitBreaker.consecutive(failures=1)
    assert send(Pipeline("p", retrying(), breaker), "GET", server.url) == (404, {"attempt": 1})
    assert breaker.state == "closed"


def test_a_post_is_sent_once_unless_it_has_an_idempotency_key(server: ScriptedServer, send: Send) -> None:
    server.script = [(503, {})]
    assert send(Pipeline("p", retrying()), "POST", server.url)[0] == 503
    server.script = [(503, {})]
    assert send(Pipeline("q", retrying()), "POST", server.url, **{"Idempotency-Key": "k"})[0] == 200
    assert len(server.asked) == 3


def test_retry_after_is_honoured(server: ScriptedServer, send: Send) -> None:
    server.script = [(429, {"Retry-After": "0.2"})]
    events = Events()
    recorder = EventRecorder(events)
    began = time.monotonic()
    assert send(Pipeline("p", retrying(), events=events), "GET", server.url)[0] == 200
    assert time.monotonic() - began >= 0.2
    assert recorder.names == ["CallRetried"]


def test_breaker_opens_on_failed_statuses_and_spares_the_server(server: ScriptedServer, send: Send) -> None:
    pipeline = Pipeline("p", CircuitBreaker.consecutive(failures=2))
    server.script = [(500, {}), (500, {})]
    assert [send(pipeline, "GET", server.url)[0] for _ in range(2)] == [500, 500]
    with pytest.raises(CircuitOpenError):
        send(pipeline, "GET", server.url)
    assert len(server.asked) == 2


def test_failed_responses_hold_no_connection(server: ScriptedServer) -> None:
    async def main() -> None:
        inner = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=1))
        cached = Fallback(lambda _: httpx2.Response(200, text="cached"), on=ResponseError)
        transport = PipelineTransport(Pipeline("p", cached, retrying()), inner)
        async with httpx2.AsyncClient(transport=transport, timeout=2.0) as client:
            for _ in range(4):
                server.script = [(503, {})] * 3
                assert (await client.get(server.url)).text == "cached"

    asyncio.run(main())


def test_failed_response_can_be_streamed(server: ScriptedServer) -> None:
    server.script = [(503, {"x-why": "down"})] * 3

    async def main() -> None:
        async with (
            httpx2.AsyncClient(transport=PipelineTransport(Pipeline("p", retrying()))) as client,
            client.stream("GET", server.url) as answer,
        ):
            assert (answer.status_code, answer.headers["x-why"]) == (503, "down")
            assert b"".join([part async for part in answer.aiter_raw()]) == b'{"attempt": 3}'

    asyncio.run(main())


def test_what_a_failure_is_can_be_judged_by_the_response(server: ScriptedServer) -> None:
    server.script = [(409, {"Should-Retry": "true"}), (500, {"Should-Retry": "false"})]
    pipeline = Pipeline("p", retrying())

    async def main() -> list[int]:
        transport = PipelineTransport(pipeline, failed=lambda answer: answer.headers.get("Should-Retry") == "true")
        async with httpx2.AsyncClient(transport=transport) as client:
            return [(await client.get(server.url)).status_code for _ in range(2)]

    assert asyncio.run(main()) == [500, 200]


def test_refused_connections_are_failures(send: Send) -> None:
    with scripted_server() as gone:
        url = gone.url
    breaker = CircuitBreaker.consecutive(failures=3)
    with pytest.raises((httpx2.ConnectError, requests.ConnectionError)):
        send(Pipeline("p", retrying(), breaker), "GET", url)
    assert breaker.state == "open"


def test_remaining_time_goes_out_as_a_header(server: ScriptedServer, send: Send) -> None:
    with deadline.within(5.0):
        send(Pipeline("p", Timeout(30.0)), "GET", server.url)
    assert 4.0 < float(server.asked[0]["request-timeout"]) <= 5.0
    send(Pipeline("q", Timeout(3.0)), "GET", server.url)
    assert 2.0 < float(server.asked[1]["request-timeout"]) <= 3.0
    send(Pipeline("r", retrying()), "GET", server.url)
    assert "request-timeout" not in server.asked[2]


def test_passed_deadline_sends_nothing(server: ScriptedServer, send: Send) -> None:
    with deadline.within(0.0), pytest.raises(DeadlineExceededError):
        send(Pipeline("p", Timeout(30.0)), "GET", server.url)
    assert server.asked == []


CUT = (CallTimeoutError, httpx2.TimeoutException, requests.Timeout)


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_hanging_server_is_cut_by_the_timeout(silent: str, send: Send) -> None:
    breaker = CircuitBreaker.consecutive(failures=1, on=CUT)
    began = time.monotonic()
    with pytest.raises(CUT):
        send(Pipeline("p", breaker, Timeout(0.3)), "GET", silent)
    assert time.monotonic() - began < 2.0
    assert breaker.state == "open"


def test_an_impatient_caller_of_a_hanging_server_opens_no_breaker(silent: str, send: Send) -> None:
    breaker = CircuitBreaker.consecutive(failures=1, on=CUT)
    limit = AdaptiveLimit(AIMD(initial=20))
    with deadline.within(0.1), pytest.raises(CUT):
        send(Pipeline("p", breaker, limit, Timeout(10.0)), "GET", silent)
    assert (breaker.state, breaker.statistics().failed) == ("closed", 0)
    assert limit.statistics().limit == 20
