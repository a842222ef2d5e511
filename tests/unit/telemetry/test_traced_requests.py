"""Requests as spans: which are recorded, what is in them, and what they don't tell."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, SpanKind, get_current_span
from starlette.background import BackgroundTask

from seawall import Seawall
from seawall.core import OptionError
from seawall.resilience import Retry
from seawall.settings import Settings, SettingsError
from seawall.telemetry.tracing import traced

SECRET = "the-inner-detail"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Service:
    """An app whose spans are kept in memory, and what was asked of it."""

    def __init__(self, **settings: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        options = {"trace_sample_rate": 1.0, **settings}
        self.sea = Seawall(service="test", settings=Settings(**options), tracer_provider=self.provider)
        self.app = self.sea.install(FastAPI())

    def ask(self, path: str, **headers: str) -> httpx2.Response:
        async def once() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with (
                self.app.router.lifespan_context(self.app),
                httpx2.AsyncClient(transport=transport, base_url="http://t") as client,
            ):
                return await client.get(path, headers=headers)

        return asyncio.run(once())

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def service() -> Service:
    return Service()


def hexadecimal(number: int, digits: int) -> str:
    return f"{number:0{digits}x}"


def test_request_is_a_span_by_the_conventions(service):
    @service.app.get("/campaigns/{number}")
    async def campaign(number: int) -> int:
        return number

    answer = service.ask("/campaigns/7?token=hush")
    (span,) = service.spans.values()
    assert (span.name, span.kind, span.parent) == ("GET /campaigns/{number}", SpanKind.SERVER, None)
    expected = {
        "http.request.method": "GET",
        "http.route": "/campaigns/{number}",
        "url.path": "/campaigns/7",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "client.address": "127.0.0.1",
    }
    assert expected.items() <= dict(span.attributes).items()
    assert "hush" not in span.to_json()
    assert span.status.is_unset
    assert 0 <= span.end_time - span.start_time < 5e9
    assert hexadecimal(span.context.trace_id, 32) == answer.headers["x-request-id"]


def test_callers_trace_goes_on(service):
    service.ask("/health", traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="vendor=1")
    (span,) = service.spans.values()
    assert (hexadecimal(span.context.trace_id, 32), hexadecimal(span.parent.span_id, 16)) == (TRACE, SPAN)
    assert span.parent.is_remote
    assert span.context.trace_state.get("vendor") == "1"


def test_what_the_caller_does_not_record_is_not_recorded(service):
    service.ask("/health", traceparent=f"00-{TRACE}-{SPAN}-00")
    assert service.spans == {}


def test_what_the_caller_records_is_recorded_whatever_our_share():
    service = Service(trace_sample_rate=0.0)
    service.ask("/health")
    assert service.spans == {}
    service.ask("/health", traceparent=f"00-{TRACE}-{SPAN}-01")
    assert list(service.spans) == ["GET /health"]


def test_tracing_that_is_switched_off_records_nothing():
    service = Service(enable_tracing=False)
    service.ask("/health", traceparent=f"00-{TRACE}-{SPAN}-01")
    assert service.spans == {}


def test_unexpected_error_fails_the_span_by_its_type_alone(service):
    @service.app.get("/broken")
    async def broken() -> None:
        raise RuntimeError(SECRET)

    service.ask("/broken")
    (span,) = service.spans.values()
    assert not span.status.is_ok
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("RuntimeError", 500)
    assert SECRET not in span.to_json()


def test_refusal_is_no_failure_and_an_unknown_path_has_no_route(service):
    service.ask("/nowhere")
    (span,) = service.spans.values()
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET", 404)
    assert span.status.is_unset
    assert "http.route" not in span.attributes


def test_traced_functions_dependencies_and_marks_are_in_the_trace(service):
    pipeline = service.sea.pipeline("shaky", Retry(on=KeyError, first_delay=0.0))
    tries: list[int] = []

    @traced("dependency")
    def dependency() -> Iterator[str]:
        yield "given"

    @pipeline
    async def shaky() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise KeyError(SECRET)

    @traced("endpoint", password="hunter2", size=(1, 2))
    async def inner() -> None:
        await shaky()

    @service.app.get("/")
    async def endpoint(given: str = Depends(dependency)) -> str:
        await inner()
        return given

    assert service.ask("/").json() == "given"
    spans = service.spans
    request = spans["GET /"]
    for name in ("dependency", "endpoint"):
        assert spans[name].parent.span_id == request.context.span_id
        assert spans[name].context.trace_id == request.context.trace_id
        assert request.start_time <= spans[name].start_time
    assert dict(spans["endpoint"].attributes) == {"password": "[hidden]", "size": "[1, 2]"}
    (mark,) = request.events
    assert (mark.name, mark.attributes["policy"], mark.attributes["error"]) == ("CallRetried", "shaky", "KeyError")


def test_spans_of_the_app_itself_are_children_of_the_request(service):
    # The provider of the app samples nothing by itself; it follows its parent.
    from opentelemetry.sdk.trace.sampling import ParentBased

    service.provider.sampler = ParentBased(ALWAYS_OFF)
    tracer = service.provider.get_tracer("app")

    @service.app.get("/")
    async def endpoint() -> None:
        with tracer.start_as_current_span("own"):
            pass

    async def main() -> None:
        transport = httpx2.ASGITransport(app=service.app)
        async with (
            service.app.router.lifespan_context(service.app),
            httpx2.AsyncClient(transport=transport, base_url="http://t") as client,
        ):
            await client.get("/")
            # The app ran in this very task, and has left nothing behind.
            assert not get_current_span().get_span_context().is_valid

    asyncio.run(main())
    spans = service.spans
    assert spans["own"].parent.span_id == spans["GET /"].context.span_id


def test_what_runs_after_the_answer_is_in_the_trace(service):
    @traced("background")
    async def background() -> None: ...

    @service.app.get("/")
    async def endpoint() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "done"

        return StreamingResponse(parts(), background=BackgroundTask(background))

    assert service.ask("/").text == "done"
    spans = service.spans
    assert spans["background"].parent.span_id == spans["GET /"].context.span_id


def test_provider_that_can_make_no_spans_is_refused():
    sea = Seawall(service="test", tracer_provider=NoOpTracerProvider())
    with pytest.raises(OptionError, match="provider"):
        sea.tracing.spans  # noqa: B018


def test_endpoint_is_read_as_opentelemetry_says():
    base = Settings.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"})
    assert base.traces_endpoint == "http://collector:4318/v1/traces"
    whole = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other/path"}
    assert Settings.from_env(whole).traces_endpoint == "https://other/path"
    assert Settings().traces_endpoint is None
    with pytest.raises(SettingsError, match="http://"):
        Settings.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"})


def test_service_without_a_destination_traces_nothing_itself():
    assert not Seawall(service="test", settings=Settings(trace_sample_rate=1.0)).tracing.records


def test_spans_of_one_request_are_bounded(service):
    from seawall.app.recorded import MOST_SPANS

    @service.app.get("/")
    async def endpoint() -> None:
        for _ in range(MOST_SPANS + 10):
            with traced.block("one of many"):
                pass

    service.ask("/")
    names = [span.name for span in service.exporter.get_finished_spans()]
    assert (names.count("one of many"), names.count("GET /")) == (MOST_SPANS, 1)
