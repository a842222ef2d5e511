"""What callers and the log are told of errors."""

import asyncio
import json
import logging
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from seawall import errors
from seawall.core import Events, OptionError, correlation
from seawall.core.errors import Severity
from seawall.resilience.errors import CircuitOpenError, RateLimitedError
from seawall.testing import virtual_time
from seawall.web import problems
from seawall.web.events import ErrorAnswered
from seawall.web.problems import Problems
from tests.unit.web.problem_site import (
    SECRET,
    OddStatusError,
    ask,
    ours,
    site,
)


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            errors.NotFoundError("campaign", uuid.UUID(int=7)),
            404,
            {
                "type": "urn:seawall:problem:not-found",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no such campaign.",
                "code": "not-found",
                "category": "not-found",
                "retryable": False,
                "resource": "campaign",
                "resource_id": "00000000-0000-0000-0000-000000000007",
            },
        ),
        (
            errors.ValidationError("end", "must be after the start"),
            422,
            {
                "type": "urn:seawall:problem:validation",
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "end: must be after the start",
                "code": "validation",
                "category": "validation",
                "retryable": False,
                "field": "end",
                "reason": "must be after the start",
                "errors": [{"field": "end", "message": "must be after the start", "code": "invalid"}],
            },
        ),
        (
            RateLimitedError("api", 1.2),
            429,
            {
                "type": "urn:seawall:problem:rate-limited",
                "title": "Too Many Requests",
                "status": 429,
                "code": "rate-limited",
                "category": "limit",
                "retryable": True,
            },
        ),
    ],
    ids=["not found", "validation", "rate limit"],
)
def test_the_whole_body(error, status, body):
    answer = ask(site(lambda: error))
    assert (answer.status_code, answer.json()) == (status, body | {"title": answer.json()["title"]})


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (errors.TooManyRequestsError(retry_after=1.2), "2"),
        (errors.MaintenanceError(retry_after=0.0), "1"),
        (errors.ExternalApiError("stripe", retry_after=30), "30"),
        (errors.TooManyRequestsError(), None),
        (errors.TooManyRequestsError(retry_after=float("inf")), None),
        (errors.TooManyRequestsError(retry_after=float("nan")), None),
        (errors.TooManyRequestsError(retry_after=-5.0), "1"),
    ],
)
def test_when_to_come_back(error, header):
    assert ask(site(lambda: error)).headers.get("retry-after") == header


def test_a_401_brings_its_challenge():
    assert ask(site(errors.TokenExpiredError)).headers["www-authenticate"].startswith("Bearer error=")


@pytest.mark.parametrize("retried", [CircuitOpenError("db", None, "open"), errors.MaintenanceError()])
def test_what_may_succeed_later_says_so(retried):
    assert ask(site(lambda: retried)).json()["retryable"] is True


def test_the_requests_ids_are_in_the_body():
    async def answer() -> dict[str, Any]:
        correlation.current.set(correlation.Correlation("r1", "a" * 32, "b" * 16))
        body: dict[str, Any] = json.loads(bytes(Problems().answer_to(errors.NotFoundError("campaign")).body))
        return body

    body = virtual_time.run(answer())
    assert (body["request_id"], body["trace_id"]) == ("r1", "a" * 32)
    assert "request_id" not in ask(site(errors.MaintenanceError)).json()


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (Severity.LOW, logging.INFO),
        (Severity.MEDIUM, logging.WARNING),
        (Severity.HIGH, logging.ERROR),
        (Severity.CRITICAL, logging.CRITICAL),
    ],
)
def test_a_failure_is_logged_by_its_severity_with_its_facts(severity, level, caplog):
    caplog.set_level(logging.DEBUG)
    kind = type("OddError", (errors.ServiceError,), {"code": "odd", "status": 503, "severity": severity})
    ask(site(lambda: kind("why", context={"row": 3, "token": SECRET})))
    (record,) = ours(caplog)
    assert (record.levelno, record.code, record.category) == (level, "odd", "internal")  # type: ignore[attr-defined]
    assert record.context == {"row": 3, "token": "[hidden]"}  # type: ignore[attr-defined]
    assert "why" in record.getMessage()
    assert record.exc_info is None


def test_a_mistake_of_ours_is_an_error_with_its_traceback_whatever_its_severity(caplog):
    answer = ask(site(lambda: OptionError("Retry", "attempts", 0, "1")))
    (record,) = ours(caplog)
    assert answer.json()["code"] == "internal"
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


def test_a_refusal_is_no_warning(caplog):
    caplog.set_level(logging.DEBUG)
    ask(site(lambda: errors.NotFoundError("campaign", 7, "deleted")))
    (record,) = ours(caplog)
    assert record.levelno == logging.INFO
    assert "campaign 7 was not found: deleted" in record.getMessage()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ExceptionGroup("tasks", [errors.NotFoundError("a")]), 404, "not-found"),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [CircuitOpenError("a", 3.0, "open")])]), 503, "circuit-open"),
        (ExceptionGroup("tasks", [errors.NotFoundError("a"), CircuitOpenError("a", 3.0, "open")]), 503, "circuit-open"),
        (ExceptionGroup("tasks", [errors.NotFoundError("a"), RuntimeError()]), 500, "internal"),
        (ExceptionGroup("tasks", [HTTPException(404)]), 404, None),
        (ExceptionGroup("tasks", [TimeoutError()]), 504, "timeout"),
        (TimeoutError(), 504, "timeout"),
        (asyncio.TimeoutError(), 504, "timeout"),  # noqa: UP041 - it is the same one
        (MemoryError(), 500, "internal"),
        (RecursionError(), 500, "internal"),
        (OddStatusError(), 500, "odd-status"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_errors_of_any_kind_have_a_sensible_answer(error, status, code):
    answer = ask(site(lambda: error))
    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_a_group_of_one_keeps_when_to_come_back():
    error = ExceptionGroup("tasks", [CircuitOpenError("a", 3.0, "open")])
    assert ask(site(lambda: error)).headers["retry-after"] == "3"


def test_a_task_group_is_answered_as_its_task():
    async def gone() -> None:
        raise errors.GoneError("campaign")

    app = site(RuntimeError)

    @app.get("/group")
    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(gone())

    assert ask(app, path="/group").status_code == 410


def test_a_client_that_left_is_nobodys_mistake(caplog):
    caplog.set_level(logging.DEBUG)
    answer = ask(site(ClientDisconnect))
    assert (answer.status_code, answer.json()["title"]) == (499, "Client Closed Request")
    assert [record.levelno for record in ours(caplog)] == [logging.INFO]


def test_endless_recursion_is_answered_at_once():
    def deeper(number: int) -> int:
        return deeper(number + 1) + 1

    app = site(lambda: RuntimeError(deeper(0)))
    ask(app)
    began = time.perf_counter()
    answer = ask(app)
    assert answer.status_code == 500
    assert time.perf_counter() - began < 0.1


@pytest.mark.parametrize("status", [204, 205, 304])
def test_what_has_no_body_gets_none(status):
    answer = ask(site(lambda: HTTPException(status, headers={"X-Why": "so"})))
    assert (answer.status_code, answer.content, answer.headers["x-why"]) == (status, b"", "so")


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ({"why": "closed"}, {"why": "closed"}),
        ([1, "two"], [1, "two"]),
        ({"at": datetime(2026, 1, 2, tzinfo=UTC)}, {"at": "2026-01-02 00:00:00+00:00"}),
        ({"amount": Decimal("1.50"), "nan": float("nan")}, {"amount": "1.50", "nan": "nan"}),
        ({"account": object()}, {"account": "<object>"}),
        ({"error": RuntimeError(SECRET)}, {"error": "<RuntimeError>"}),
        ({"broken": "\ud800"}, {"broken": "\ud800"}),
        ({uuid.UUID(int=1): {"b"}}, {"00000000-0000-0000-0000-000000000001": ["b"]}),
        ({"huge": 10**5000}, {"huge": "<int>"}),
    ],
    ids=lambda value: f"{value!r:.20}" if "huge" not in value else "huge",
)
def test_a_detail_of_any_kind_is_told_and_never_costs_the_answer(detail, told):
    answer = ask(site(lambda: HTTPException(409, detail)))
    assert (answer.status_code, json.loads(answer.content)["errors"]) == (409, told)


def test_a_detail_that_holds_itself_is_cut():
    detail: dict[str, Any] = {}
    detail["self"] = detail
    assert ask(site(lambda: HTTPException(409, detail))).status_code == 409


def test_headers_that_describe_another_body_are_left_out():
    headers = {"Content-Length": "3", "Content-Type": "text/html", "X-Kept": "yes"}
    answer = ask(site(lambda: HTTPException(418, "short", headers)))
    assert answer.json()["detail"] == "short"
    assert (answer.headers["content-type"], answer.headers["x-kept"]) == (problems.MEDIA_TYPE, "yes")
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_status_that_nobody_knows():
    answer = ask(site(lambda: HTTPException(599, "odd")))
    assert (answer.status_code, answer.json()["title"]) == (599, "Unknown Status")


def test_problem_gives_an_id_from_500_on_and_logs_it(caplog):
    caplog.set_level(logging.INFO)
    body = json.loads(bytes(problems.problem(503, code="shutting-down").body))
    assert [record.error_id for record in ours(caplog)] == [body["error_id"]]  # type: ignore[attr-defined]
    assert "error_id" not in json.loads(bytes(problems.problem(404).body))


def test_an_error_that_passes_two_handlers_is_logged_and_reported_once(caplog):
    events, found = Events(), list[Any]()
    events.subscribe(found.append, ErrorAnswered)
    made, scope = Problems(events=events), {"type": "http"}
    error = RuntimeError("while streaming")
    bodies = [json.loads(bytes(made.answer_to(error, scope).body)) for _ in range(2)]
    assert bodies[0] == bodies[1]
    assert len(ours(caplog)) == len(found) == 1
    made.answer_to(error, {"type": "http"})
    assert len(ours(caplog)) == 2, "the same object, raised in another request"


@pytest.mark.parametrize(
    ("error", "code", "category", "severity", "status"),
    [
        (errors.NotFoundError("campaign"), "not-found", "not-found", "low", 404),
        (CircuitOpenError("db", None, "open"), "circuit-open", "external", "medium", 503),
        (OptionError("Retry", "attempts", 0, "1"), "option", "internal", "medium", 500),
        (HTTPException(404), "http-404", "not-found", "low", 404),
        (HTTPException(502), "http-502", "internal", "high", 502),
        (RuntimeError(), "internal", "internal", "high", 500),
        (TimeoutError(), "timeout", "timeout", "high", 504),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_every_error_is_reported(error, code, category, severity, status):
    events, found = Events(), list[Any]()
    events.subscribe(found.append, ErrorAnswered)
    body = json.loads(bytes(Problems(events=events).answer_to(error).body))
    told = {"code": code, "category": category, "severity": severity, "status": status}
    assert found == [ErrorAnswered(error_id=body.get("error_id"), **told)]
    assert category in errors.CATEGORIES


def test_an_answer_without_a_body_is_no_error(caplog):
    caplog.set_level(logging.DEBUG)
    events, found = Events(), list[Any]()
    events.subscribe(found.append)
    Problems(events=events).answer_to(HTTPException(304))
    assert (found, ours(caplog)) == ([], [])


def test_members_do_not_replace_what_every_problem_has():
    class OddError(errors.ServiceError):
        code, status, shown = "odd-members", 409, ("type", "status", "title", "retryable", "extra")
        type, title, extra = "about:evil", "evil", 1

    body = ask(site(OddError)).json()
    assert (body["type"], body["status"], body["title"]) == ("urn:seawall:problem:odd-members", 409, "Conflict")
    assert (body["retryable"], body["extra"]) == (False, 1)


def test_cancellation_is_not_answered():
    app = site(RuntimeError)
    begun = False

    @app.get("/waits")
    async def waits(request: Request) -> None:
        nonlocal begun
        begun = True
        await asyncio.sleep(60)

    async def main() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            asking = asyncio.create_task(http.get("/waits"))
            await asyncio.sleep(1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    virtual_time.run(main())
    assert begun
