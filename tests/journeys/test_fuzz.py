"""What nobody would send on purpose: the service answers, tells nothing of its inside, and holds on to nothing.

Some requests here, ten thousand in `make torture`.
"""

import json
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journeys.conftest import Service

INSIDE = re.compile(
    r"0x[0-9a-f]{6}|Traceback|File \"|\.py\b|sqlalchemy|sqlite3|asyncpg|SELECT |INSERT |site-packages|sk_test"
    r"|Exception\b"
)
SIZES = [pytest.param(100, id="few"), pytest.param(7000, id="many", marks=pytest.mark.torture)]


def judge(status: int, headers: Any, body: str) -> None:
    """What every answer must keep to."""
    kind = headers.get("content-type", "")
    assert headers.get("x-request-id"), (status, dict(headers))
    if status >= 400 and body:
        assert not INSIDE.search(body), body
        assert kind.startswith("application/problem+json"), (status, kind, body)
        problem = json.loads(body)
        assert problem["status"] == status
        assert status < 500 or problem["error_id"], body
        # One that says 500 is a mistake in the service, whatever was sent.
        assert status != 500, body


def holds_nothing(service: Service) -> None:
    """Requests under way, connections and permits are back where they were."""
    until = time.monotonic() + 20
    while True:
        lines = service.http.get("/metrics").text.splitlines()
        found = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}
        busy = {
            name: value
            for name, value in found.items()
            if name.startswith(("database_connections_in_use", "websocket_connections_active")) and value
        }
        if not busy and found["http_requests_active"] == 1:  # this one
            return
        assert time.monotonic() < until, (busy, found["http_requests_active"])
        time.sleep(0.2)


@pytest.mark.parametrize("size", SIZES)
def test_whatever_the_schema_allows_or_not(service: Service, size: int) -> None:
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    operations: list[Any] = list(schema.get_all_operations())
    cases: list[Any] = [
        operation.ok().as_strategy(generation_mode=mode)
        for operation in operations
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
        if mode in operation.ok().schema.config.generation.modes
    ]
    seen: Counter[int] = Counter()

    @settings(
        max_examples=size, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.one_of(cases))
    def send(case: Any) -> None:
        answer = case.call(base_url=service.url, timeout=30)
        seen[answer.status_code] += 1
        try:
            judge(answer.status_code, {name: values[0] for name, values in answer.headers.items()}, answer.text or "")
        except AssertionError as error:
            error.add_note(case.as_curl_command())
            error.add_note(Path(service.log).read_text()[-8000:])
            raise

    send()
    assert sum(seen.values()) >= size * 0.9
    assert seen[200] + seen[201] > 0, seen
    assert seen[422] > 0, seen
    holds_nothing(service)


def raw(url: str, data: bytes, *, pause: float = 0.0, read: bool = True) -> bytes:
    """Send bytes as they are, in two parts with a pause between; returns what came back, as far as it did in time."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=1.5) as connection:
        half, answer = len(data) // 2, b""
        try:
            connection.sendall(data[:half])
            time.sleep(pause)
            connection.sendall(data[half:])
            if not read:
                return b""
            while b"\r\n\r\n" not in answer and (part := connection.recv(65_536)):
                answer += part
            while part := connection.recv(65_536):
                answer += part
        except (TimeoutError, ConnectionError):
            pass
        return answer


PATH = "/api/v1/podcasts"
CLOSE = "Host: t\r\nConnection: close\r\n"
POST = f"POST {PATH} HTTP/1.1\r\n{CLOSE}"
JSON = f"{POST}Content-Type: application/json\r\n"


def malformed(draw: random.Random) -> bytes:
    """A request that is wrong in some way."""

    def text(most: int) -> str:
        return "".join(chr(draw.randrange(32, 127)) for _ in range(draw.randrange(most)))

    kinds: list[Callable[[], bytes]] = [
        lambda: draw.randbytes(draw.randrange(1, 300)),
        lambda: f"GET {PATH} HTTP/1.1\r\n{CLOSE}X-Big: {'a' * draw.randrange(100, 120_000)}\r\n\r\n".encode(),
        lambda: (f"GET {PATH} HTTP/1.1\r\n{CLOSE}" + "".join(f"X-{n}: 1\r\n" for n in range(400)) + "\r\n").encode(),
        lambda: f"{JSON}Content-Length: 9\r\n\r\n".encode() + draw.randbytes(9),
        lambda: f"{POST}Content-Length: {draw.choice(['-1', 'x', '99999999999999', '1, 2'])}\r\n\r\n{{}}".encode(),
        lambda: f"{POST}Transfer-Encoding: chunked\r\n\r\nZZ\r\nno\r\n0\r\n\r\n".encode(),
        lambda: f'{JSON}Content-Length: 12\r\n\r\n{{"title": [['.encode(),
        lambda: f"{draw.choice(['FOO', 'get', 'TRACE', 'PROPFIND', 'QUERY'])} {PATH} HTTP/1.1\r\n{CLOSE}\r\n".encode(),
        lambda: f"GET {PATH}?limit={draw.choice(['%00', '1e9', '-1', '%ff', '٣'])} HTTP/1.1\r\n{CLOSE}\r\n".encode(),
        lambda: f"GET /%2e%2e/{text(40)} HTTP/1.1\r\n{CLOSE}\r\n".encode(),
        lambda: (
            f"GET {PATH} HTTP/1.1\r\n{CLOSE}Request-Timeout: {text(12)}\r\nX-Request-ID: {text(200)}\r\n"
            f"traceparent: {text(60)}\r\ntracestate: {text(600)}\r\nX-Tenant: {text(80)}\r\n\r\n".encode()
        ),
        lambda: f"GET {PATH} HTTP/9.9\r\n{CLOSE}\r\n".encode(),
        lambda: f"{JSON}\r\n".encode(),
        lambda: (f"{JSON}Content-Length: 20000\r\n\r\n" + "[" * 20_000).encode(),
    ]
    return draw.choice(kinds)()


@pytest.mark.parametrize("size", SIZES)
def test_what_is_no_proper_request(service: Service, size: int) -> None:
    draw = random.Random(5)
    seen: Counter[str] = Counter()
    for _ in range(size * 3 // 7):
        leaves = draw.random() < 0.2
        answer = raw(service.url, malformed(draw), pause=0.02 if draw.random() < 0.05 else 0.0, read=not leaves)
        if not answer:
            seen["left" if leaves else "closed"] += 1
            continue
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        seen[str(status)] += 1
        headers = dict(line.decode("latin-1").lower().split(": ", 1) for line in head.split(b"\r\n")[1:])
        if "x-request-id" in headers:  # else the server itself refused it, before any app saw it
            judge(status, headers, body.decode("utf-8", "replace"))
        else:
            assert status in {400, 413, 431, 505}, answer[:300]
    assert len(seen) > 3, seen
    assert service.http.get("/health").status_code == 200
    holds_nothing(service)


def test_slow_bodies_and_headers_hold_up_nobody(service: Service) -> None:
    place = urlsplit(service.url)
    slow = [socket.create_connection((place.hostname, place.port)) for _ in range(50)]
    for number, connection in enumerate(slow):
        start = f"POST {PATH} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
        connection.sendall((start if number % 2 else start + "\r\n{").encode())
    began = time.monotonic()
    assert service.http.get(PATH).status_code == 200
    assert time.monotonic() - began < 5
    for connection in slow:
        connection.close()
    holds_nothing(service)


def test_nothing_went_wrong_inside(service: Service) -> None:
    log = [json.loads(line) for line in Path(service.log).read_text().splitlines() if line.startswith("{")]
    assert not [line for line in log if line["level"] in {"error", "critical"}]
    assert os.path.getsize(service.log) < 200_000_000
