"""The faults of the provider stubs, as clients meet them, and the life of their process."""

import asyncio
import socket
import time
from itertools import pairwise
from urllib.parse import urlsplit

import openai
import pytest

from podcasts.child import ChildError
from podcasts.stubs.client import Stubs, StubsError, start_stubs
from podcasts.stubs.faults import Kind
from tests.integration.stub_calls import LATENCY, ask, chat, eventually, is_refused, openai_client, send


def test_healthy_answers_come_within_their_latency(stubs: Stubs) -> None:
    async def durations() -> list[float]:
        async with openai_client(stubs) as client:
            marks = [time.monotonic()]
            for _ in range(8):
                await chat(client)
                marks.append(time.monotonic())
            return [after - before for before, after in pairwise(marks)]

    measured = asyncio.run(durations())
    assert min(measured) >= LATENCY * 0.75
    assert min(measured[1:]) < 0.035  # with Nagle's algorithm on, every answer after the first takes 40 ms


def test_slow_answers_late(stubs: Stubs) -> None:
    stubs.fault("openai", "slow", seconds=0.3)
    started = time.monotonic()
    assert "Acme Coffee" in ask(stubs)
    assert time.monotonic() - started >= 0.3
    with pytest.raises(openai.APITimeoutError):
        ask(stubs, timeout=0.1)
    assert eventually(lambda: stubs.requests()["openai"]["abandoned"] == 1)


def test_rate_limited_says_when_to_come_back(stubs: Stubs) -> None:
    stubs.fault("openai", "rate_limited", seconds=2, count=1)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(stubs)
    assert raised.value.response.headers["retry-after"] == "2"
    assert raised.value.code == "rate_limit_exceeded"
    assert ask(stubs)  # the count is used up
    assert stubs.faults()["openai"] == {"kind": "rate_limited", "seconds": 2, "rate": 1.0, "count": 1, "remaining": 0}


def test_error_strikes_the_same_share_of_requests_each_time(stubs: Stubs) -> None:
    async def outcomes() -> list[bool]:
        async with openai_client(stubs) as client:
            answers = []
            for _ in range(20):
                try:
                    answers.append(bool(await chat(client)))
                except openai.InternalServerError:
                    answers.append(False)
            return answers

    stubs.fault("openai", "error", rate=0.5)
    first = asyncio.run(outcomes())
    stubs.fault("openai", "error", rate=0.5)
    assert asyncio.run(outcomes()) == first
    assert 3 < sum(first) < 17
    assert stubs.requests()["openai"]["faulted"] == {"error": 2 * (20 - sum(first))}


def test_hang_holds_until_the_client_leaves_or_the_fault_is_cleared(stubs: Stubs) -> None:
    stubs.fault("openai", "hang")
    with pytest.raises(openai.APITimeoutError):
        ask(stubs, timeout=0.1)
    assert eventually(lambda: stubs.requests()["openai"]["in_flight"] == 0)

    async def cleared() -> str:
        async with openai_client(stubs) as client:
            held = asyncio.create_task(chat(client))
            assert await asyncio.to_thread(eventually, lambda: stubs.requests()["openai"]["in_flight"] == 1)
            assert not held.done()
            await asyncio.to_thread(stubs.clear, "openai")
            return await held

    assert "Acme Coffee" in asyncio.run(cleared())
    counters = stubs.requests()["openai"]
    assert (counters["received"], counters["answered"], counters["abandoned"]) == (2, {"200": 1}, 1)


def test_reset_ends_the_connection_with_a_tcp_reset(stubs: Stubs) -> None:
    stubs.fault("openai", "reset")
    with pytest.raises(openai.APIConnectionError) as raised:
        ask(stubs)
    assert not isinstance(raised.value, openai.APITimeoutError)
    address = urlsplit(stubs.providers["openai"])
    with socket.create_connection((address.hostname, address.port), timeout=2) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: stub\r\nContent-Length: 2\r\n\r\n{}")
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
    assert stubs.requests()["openai"]["faulted"] == {"reset": 2}


def test_refused_closes_idle_connections_and_comes_back_on_the_same_port(stubs: Stubs) -> None:
    async def run() -> None:
        async with openai_client(stubs) as client:
            assert await chat(client)  # leaves an idle connection in the client's pool
            await asyncio.to_thread(stubs.fault, "openai", "refused")
            for _ in range(2):
                with pytest.raises(openai.APIConnectionError) as raised:
                    await chat(client)
                assert "All connection attempts failed" in str(raised.value.__cause__)
            assert await asyncio.to_thread(is_refused, stubs.providers["openai"])
            await asyncio.to_thread(stubs.clear, "openai")
            assert await chat(client)

    asyncio.run(run())
    assert not is_refused(stubs.providers["anthropic"])
    assert stubs.requests()["openai"]["received"] == 2


@pytest.mark.parametrize(
    ("provider", "kind", "options", "said"),
    [
        ("nobody", "slow", {}, "404"),
        ("openai", "explode", {}, "422 .*explode.*rate_limited"),
        ("openai", "refused", {"rate": 0.5}, "422 .*does not take"),
        ("openai", "error", {"status": 200}, "422 .*400 to 599"),
        ("openai", "slow", {"seconds": -1}, "422 .*0 or more"),
        ("openai", "slow", {"rate": 1.5}, "422 .*from 0 to 1"),
        ("openai", "hang", {"count": 0}, "422 .*from 1"),
    ],
)
def test_control_refuses_impossible_faults(
    stubs: Stubs, provider: str, kind: Kind, options: dict[str, float], said: str
) -> None:
    with pytest.raises(StubsError, match=said):
        stubs.fault(provider, kind, **options)
    assert set(stubs.faults().values()) == {None}


def test_control_refuses_what_is_not_json(stubs: Stubs) -> None:
    status, _, body = send(stubs.control, "PUT", "/faults/openai", body="slow")
    assert (status, body["given"]) == (400, "slow")


def test_process_ends_when_its_standard_input_does() -> None:
    with start_stubs() as running:
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert running.process.wait(3) == 0
        assert all(is_refused(url) for url in (running.control, *running.providers.values()))


def test_process_ends_with_the_block_although_a_request_hangs() -> None:
    with start_stubs() as running:
        running.fault("openai", "hang")
        address = urlsplit(running.providers["openai"])
        raw = socket.create_connection((address.hostname, address.port), timeout=3)
        raw.sendall(b"GET / HTTP/1.1\r\nHost: stub\r\n\r\n")
        assert eventually(lambda: running.requests()["openai"]["in_flight"] == 1)
    with raw:
        assert raw.recv(1) == b""
    assert running.process.returncode == 0
    assert all(is_refused(url) for url in (running.control, *running.providers.values()))


def test_process_that_does_not_start_is_reported_with_its_standard_error() -> None:
    with pytest.raises(ChildError, match="--latency is -1"), start_stubs(latency=-1):
        pass
