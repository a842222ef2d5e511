"""Spans of functions, blocks and outgoing requests: whose children they are, and what they don't tell."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

import httpx2
import pytest

from seawall.app.spans import summarized
from seawall.core import Events, OptionError, correlation
from seawall.core.correlation import Correlation
from seawall.resilience import Pipeline, RequestSent, Retry
from seawall.resilience.http import ResponseError
from seawall.resilience.httpx2 import PipelineTransport
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
