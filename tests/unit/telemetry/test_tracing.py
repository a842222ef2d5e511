"""Spans of functions, blocks and requests: which there are, whose children they are, and what they don't tell."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
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
from seawall.app.spans import summarized
from seawall.core import Events, OptionError, correlation
from seawall.core.correlation import Correlation
from seawall.resilience import Pipeline, RequestSent, Retry
from seawall.resilience.http import ResponseError
from seawall.resilience.httpx2 import PipelineTransport
from seawall.settings import Settings, SettingsError
from seawall.telemetry.tracing import MOST_MARKS, Recording, SpanEnded, recording, traced
from seawall.testing import EventRecorder, virtual_time

SECRET = "the-inner-detail"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def work() -> Iterator[Correlation]:
    """A recorded request."""
    work = Correlation("request", TRACE, SPAN, sampled=True)
    token = correlation.current.set(work)
    yield work
    correlation.current.reset(token)


@pytest.fixture
def heard(work: Correlation) -> Iterator[EventRecorder]:
    events = Events()
    token = recording.set(Recording(work, events))
    yield EventRecorder(events)
    recording.reset(token)


def span_id() -> str:
    work = correlation.current.get()
    assert work is not None
    return work.span_id


def bind(**fields: Any) -> None:
    work = correlation.current.get()
    assert work is not None
    work.bind(**fields)


@traced
def plain(seen: list[str]) -> str:
    seen.append(span_id())
    return "result"


@traced("named", model="large", api_key="k")
async def slow(seen: list[str]) -> str:
    await asyncio.sleep(2.0)
    seen.append(span_id())
    return "result"


@traced("steps")
def steps(seen: list[str]) -> Generator[int, Any, str]:
    got = yield 1
    seen.append(span_id())
    try:
        yield got
    except KeyError:
        yield 3
    return "result"


@traced("async steps")
async def async_steps(seen: list[str]) -> AsyncGenerator[int, Any]:
    try:
        got = yield 1
        seen.append(span_id())
        try:
            yield got
        except KeyError:
            yield 3
    finally:
        seen.append(span_id())


def test_function_is_a_span_and_what_runs_in_it_its_child(heard):
    seen: list[str] = []
    assert plain(seen) == "result"
    (span,) = heard.of(SpanEnded)
    assert (span.name, span.parent_id, span.span_id) == (f"{__name__}.plain", SPAN, seen[0])
    assert span_id() == SPAN


def test_coroutine_function_is_a_span_and_stays_one(heard):
    assert inspect.iscoroutinefunction(slow)
    seen: list[str] = []
    assert virtual_time.run(slow(seen)) == "result"
    (span,) = heard.of(SpanEnded)
    assert (span.name, span.span_id, span.attributes["model"]) == ("named", seen[0], "large")


def test_generator_is_in_its_span_only_while_it_runs(heard):
    assert inspect.isgeneratorfunction(steps)
    seen: list[str] = []
    running = steps(seen)
    assert (next(running), span_id()) == (1, SPAN)
    assert (running.send(2), span_id()) == (2, SPAN)
    assert running.throw(KeyError()) == 3
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "result"
    (span,) = heard.of(SpanEnded)
    assert (span.span_id, span.error) == (seen[0], None)
    assert seen[0] != SPAN


def test_asynchronous_generator_is_in_its_span_only_while_it_runs(heard):
    assert inspect.isasyncgenfunction(async_steps)
    seen: list[str] = []

    async def main() -> None:
        running = async_steps(seen)
        assert (await anext(running), span_id()) == (1, SPAN)
        assert (await running.asend(2), span_id()) == (2, SPAN)
        assert await running.athrow(KeyError()) == 3
        await running.aclose()

    virtual_time.run(main())
    (span,) = heard.of(SpanEnded)
    assert set(seen) == {span.span_id}
    assert len(seen) == 2
    assert span.error is None


@pytest.mark.parametrize("generator", [steps, async_steps])
def test_generators_work_where_nothing_is_recorded(generator):
    async def values() -> list[int]:
        running = generator([])
        return [await anext(running)] if hasattr(running, "__anext__") else [next(running)]

    correlation.current.set(None)
    assert asyncio.run(values()) == [1]


def test_blocks_nest_and_keep_what_was_bound_in_them(heard, work):
    work.bind(tenant=1)
    with traced.block("outer") as outer, traced.block("inner", size=3):
        bind(user_id=7)
        outer.set(found=True)
    inner_span, outer_span = heard.of(SpanEnded)
    assert (inner_span.parent_id, outer_span.parent_id) == (outer_span.span_id, SPAN)
    assert (dict(inner_span.attributes), dict(outer_span.attributes)) == ({"size": 3}, {"found": True})
    assert work.fields == {"tenant": 1, "user_id": 7}


def test_blocks_at_the_same_time_lose_nothing_that_was_bound(heard, work):
    async def one(name: str, seconds: float) -> None:
        with traced.block(name):
            await asyncio.sleep(seconds)
            bind(**{name: seconds})

    async def both() -> None:
        await asyncio.gather(one("a", 1.0), one("b", 2.0))

    virtual_time.run(both())
    assert work.fields == {"a": 1.0, "b": 2.0}
    assert {span.parent_id for span in heard.of(SpanEnded)} == {SPAN}


def test_exception_is_told_by_its_type_and_place_never_by_its_message(heard):
    with pytest.raises(ValueError, match=SECRET), traced.block("fails"):
        raise ValueError(SECRET)
    (span,) = heard.of(SpanEnded)
    assert span.error == "ValueError"
    assert span.stack[-1].startswith(f"{__file__}:")
    assert SECRET not in repr(span)


def test_cancelled_function_ends_its_span(heard):
    async def main() -> None:
        task = asyncio.ensure_future(slow([]))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual_time.run(main())
    assert heard.of(SpanEnded)[0].error == "asyncio.exceptions.CancelledError"


def test_nothing_is_made_for_a_request_that_is_not_recorded(heard, work):
    work.sampled = False
    seen: list[str] = []
    plain(seen)
    with traced.block("block") as block:
        block.set(a=1)
        assert span_id() == SPAN
    assert (seen, heard.events) == ([SPAN], [])


def test_another_request_in_the_same_context_is_not_taken_for_the_recorded_one(heard):
    other = Correlation("other", TRACE, "1" * 16, sampled=True)
    token = correlation.current.set(other)
    with traced.block("elsewhere"):
        pass
    correlation.current.reset(token)
    assert heard.events == []


def test_marks_of_one_request_are_bounded(work):
    found = Recording(work, Events())
    for _ in range(MOST_MARKS + 10):
        found.mark("CallRetried", {})
    assert len(found.marks) == MOST_MARKS


def test_only_functions_are_traced():
    with pytest.raises(OptionError, match="a function"):
        traced(3)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT * FROM campaigns WHERE id = $1", "SELECT campaigns"),
        ('insert into "Users" (id) values ($1)', "INSERT Users"),
        ("UPDATE ONLY app.users SET a = $1", "UPDATE app.users"),
        ("COMMIT", "COMMIT"),
        ("", "SQL"),
    ],
)
def test_statement_has_a_short_name(statement, summary):
    assert summarized(statement) == summary


# Outgoing requests.


class Answers(httpx2.AsyncBaseTransport):
    """Answers with statuses in order, then with 200; keeps the headers it was sent."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[dict[str, str]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(dict(request.headers))
        headers = {"location": "/next"} if self.statuses[:1] == [302] else {}
        status = self.statuses.pop(0) if self.statuses else 200
        return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(b""))


def send(transport: httpx2.AsyncBaseTransport, **headers: str) -> None:
    async def main() -> None:
        async with httpx2.AsyncClient(transport=transport, follow_redirects=True) as client:
            await client.get("https://api.example:8443/v1?key=1", headers=headers)

    asyncio.run(main())


def test_every_attempt_is_a_span_that_its_receiver_is_told_of(work):
    work.trace_state = "vendor=1"
    events = Events()
    heard = EventRecorder(events)
    answers = Answers(503)
    pipeline = Pipeline("p", Retry(on=ResponseError, first_delay=0.0), events=events)
    send(PipelineTransport(pipeline, answers))
    sent = heard.of(RequestSent)
    assert [(one.method, one.host, one.port, one.status, one.attempt) for one in sent] == [
        ("GET", "api.example", 8443, 503, 1),
        ("GET", "api.example", 8443, 200, 2),
    ]
    assert [one["traceparent"] for one in answers.asked] == [f"00-{TRACE}-{one.span_id}-03" for one in sent]
    assert [one["tracestate"] for one in answers.asked] == ["vendor=1"] * 2
    assert len({SPAN, *(one.span_id for one in sent)}) == 3


def test_redirect_is_a_span_of_its_own(work):
    events = Events()
    heard = EventRecorder(events)
    answers = Answers(302)
    send(PipelineTransport(None, answers, events=events))
    assert [one["traceparent"][36:52] for one in answers.asked] == [one.span_id for one in heard.of(RequestSent)]
    assert len({one["traceparent"] for one in answers.asked}) == 2


def test_work_that_is_not_recorded_passes_its_trace_on_and_tells_nothing(work):
    work.sampled = False
    events = Events()
    heard = EventRecorder(events)
    answers = Answers()
    send(PipelineTransport(None, answers, events=events))
    assert answers.asked[0]["traceparent"] == f"00-{TRACE}-{SPAN}-02"
    assert heard.events == []


def test_what_the_caller_has_set_stays(work):
    answers = Answers()
    given = f"00-{'a' * 32}-{'b' * 16}-01"
    send(PipelineTransport(None, answers), traceparent=given)
    assert answers.asked[0]["traceparent"] == given


def test_outside_of_any_work_nothing_is_sent_along():
    answers = Answers()
    send(PipelineTransport(None, answers))
    assert "traceparent" not in answers.asked[0]


def test_failed_request_is_told_by_its_type(work):
    class Refuses(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError(SECRET)

    events = Events()
    heard = EventRecorder(events)
    with pytest.raises(httpx2.ConnectError):
        send(PipelineTransport(None, Refuses(), events=events))
    (sent,) = heard.of(RequestSent)
    assert (sent.status, sent.error) == (None, "ConnectError")
    assert SECRET not in repr(sent)


# Requests.


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
