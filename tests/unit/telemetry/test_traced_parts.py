"""What parts add to a trace: attempts of pipelines, statements that fail, websockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from seawall import Seawall
from seawall.core import OptionError, correlation
from seawall.resilience import Chaos, PipelineOrderError, Retry, Timeout
from seawall.resilience.chaos import Reset
from seawall.settings import Settings

Spans = Callable[[], dict[str, list[ReadableSpan]]]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def sea(exporter: InMemorySpanExporter, tmp_path: Path) -> Iterator[Seawall]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = Settings(trace_sample_rate=1.0, database_url=f"sqlite:///{tmp_path}/shop.db")
    yield Seawall(service="shop", settings=settings, tracer_provider=provider)
    provider.shutdown()


def trace_of(
    sea: Seawall, exporter: InMemorySpanExporter, endpoint: Callable[[], Any]
) -> dict[str, list[ReadableSpan]]:
    """The spans of one request that runs `endpoint`, by name, in the order in which they ended."""
    app = FastAPI()
    app.get("/")(endpoint)
    sea.install(app)

    async def ask() -> None:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://t") as http,
        ):
            await http.get("/")

    asyncio.run(ask())
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def own(span: ReadableSpan) -> int:
    assert span.context is not None
    number: int = span.context.span_id
    return number


def here() -> str | None:
    work = correlation.current.get()
    return None if work is None else work.span_id


def test_each_attempt_of_a_pipeline_is_a_span_and_what_runs_in_it_its_child(sea, exporter):
    pipeline = sea.pipeline("openai", Retry(attempts=3, on=ConnectionError, first_delay=0.0), Timeout(1.0))
    seen: list[str | None] = []

    @pipeline
    async def complete(prompt: str) -> str:
        seen.append(here())
        if len(seen) < 3:
            raise ConnectionError("the-inner-detail")
        return prompt

    async def endpoint() -> str:
        answer: str = await complete("hello")
        return answer

    spans = trace_of(sea, exporter, endpoint)
    (request,) = spans["GET /"]
    attempts = spans["attempt openai"]
    errors = [(span.attributes or {}).get("error.type") for span in attempts]
    assert errors == ["ConnectionError", "ConnectionError", None]
    assert [parent(span) for span in attempts] == [own(request)] * 3
    assert [f"{own(span):016x}" for span in attempts] == seen
    assert {span.attributes["seawall.pipeline"] for span in attempts if span.attributes} == {"openai"}
    assert not any("the-inner-detail" in span.to_json() for span in attempts)


def test_plain_functions_blocks_and_streams_are_attempts_too(sea, exporter):
    pipeline = sea.pipeline("parts", Timeout(1.0))
    seen: list[str | None] = []

    @pipeline
    async def stream() -> AsyncIterator[int]:
        for number in range(3):
            seen.append(here())
            yield number

    async def endpoint() -> list[int]:
        async with pipeline.guard():
            seen.append(here())
        seen.append(await pipeline.call(called))
        outside = here()
        items = []
        async for item in stream():
            items.append(item)
            assert here() == outside, "whoever takes an item is not in the span"
        async with aclosing(stream()) as broken:  # and one that nobody takes to its end
            assert await anext(broken) == 0
        return items

    async def called() -> str | None:
        return here()

    spans = trace_of(sea, exporter, endpoint)
    (request,) = spans["GET /"]
    assert (request.attributes or {})["http.response.status_code"] == 200
    guard, call, whole, broken_off = spans["attempt parts"]
    assert seen == [f"{own(span):016x}" for span in (guard, call, whole, whole, whole, broken_off)]
    assert not any((span.attributes or {}).get("error.type") for span in (guard, call, whole, broken_off))


def test_a_pipeline_within_another_is_the_others_attempts(sea, exporter):
    inner = sea.pipeline("inner", Timeout(1.0), Chaos(script=[Reset(), None]))
    outer = sea.pipeline("outer", Retry(attempts=2, on=ConnectionError, first_delay=0.0), inner)
    assert [type(policy) for policy in outer.policies] == [Retry, Timeout, Chaos]
    assert "Attempts" not in repr(outer)

    @outer
    async def call() -> None:
        """Does nothing."""

    spans = trace_of(sea, exporter, call)
    assert [span.status.is_ok for span in spans["attempt outer"]] == [False, True]
    assert "attempt inner" not in spans


def test_pipelines_are_refused_as_they_are_without_tracing(sea):
    with pytest.raises(OptionError, match="at least one policy"):
        sea.pipeline("empty")
    with pytest.raises(PipelineOrderError, match="hides its faults") as caught:
        sea.pipeline("wrong", Chaos(Reset(), rate=0.0), Timeout(1.0))
    assert "Attempts" not in str(caught.value)


def test_a_statement_that_fails_is_a_span_that_failed(sea, exporter):
    async def endpoint() -> None:
        async with sea.database.session() as session:
            await session.execute(text("SELECT 'the-inner-detail' FROM nowhere"))

    _ = sea.database
    spans = trace_of(sea, exporter, endpoint)
    (request,), (statement,) = spans["GET /"], spans["SELECT nowhere"]
    assert parent(statement) == own(request)
    assert (statement.attributes or {})["error.type"] == "sqlite3.OperationalError"
    assert not statement.status.is_ok
    assert "the-inner-detail" not in statement.to_json()


@pytest.mark.parametrize("end", ["returns", "fails", "is left"])
def test_a_websocket_is_a_span_and_what_it_does_its_children(sea, exporter, end):
    app = FastAPI()
    pipeline = sea.pipeline("openai", Timeout(1.0))

    @app.websocket("/live/{number}")
    async def live(socket: WebSocket, number: int) -> None:
        await socket.accept()
        await pipeline.call(socket.send_text, "hello")
        if end == "fails":
            raise ValueError("the-inner-detail")
        while end == "is left":
            await socket.receive_text()

    client = TestClient(sea.install(app))
    # The test's client raises what the app has raised.
    with client, suppress(ValueError, WebSocketDisconnect), client.websocket_connect("/live/7") as socket:
        assert socket.receive_text() == "hello"
    attempt, request = exporter.get_finished_spans()
    assert (request.name, parent(attempt)) == ("GET /live/{number}", own(request))
    attributes = request.attributes or {}
    status = 500 if end == "fails" else 101
    assert (attributes["url.scheme"], attributes["http.response.status_code"]) == ("ws", status)
    assert attributes.get("error.type") == ("ValueError" if end == "fails" else None)
    assert "the-inner-detail" not in request.to_json()


async def _refuse(socket: WebSocket) -> None:
    await socket.close()


async def _deny(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("not today", status_code=429))


@pytest.mark.parametrize(("end", "status"), [(_refuse, 403), (_deny, 429)])
def test_a_websocket_that_is_not_accepted_has_the_status_its_client_got(sea, exporter, end, status):
    app = FastAPI()
    app.add_api_websocket_route("/live", end)
    client = TestClient(sea.install(app))
    with client, suppress(Exception), client.websocket_connect("/live"):
        pytest.fail("it was accepted")
    (request,) = exporter.get_finished_spans()
    assert (request.attributes or {})["http.response.status_code"] == status
