"""What callers and the log are told of errors."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticKnownError, core_schema
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from starlette.requests import ClientDisconnect

from seawall import errors
from seawall.core import Events, OptionError, SeawallError, correlation
from seawall.core.errors import Severity
from seawall.resilience.errors import CircuitOpenError, RateLimitedError
from seawall.testing import virtual_time
from seawall.web import problems
from seawall.web.disclosure import without_secrets
from seawall.web.events import ErrorAnswered
from seawall.web.field_errors import _SAYS_NO_INPUT, field_errors
from seawall.web.problems import Problems

SECRET = "hunter2-the-secret"


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


class UnreadableSeawallError(SeawallError):
    code, status, public = "unreadable", 503, True

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    @property
    def user_message(self) -> str:
        raise RuntimeError(SECRET)


class OddStatusError(SeawallError):
    code, status, public = "odd-status", 200, True


class Broken(Exception):  # noqa: N818
    @property
    def errors(self) -> Any:
        raise RuntimeError(SECRET)

    @property
    def context(self) -> Any:
        raise RuntimeError(SECRET)


def site(raising: Callable[[], Any], *, development: bool = False, **options: Any) -> FastAPI:
    """An application whose one endpoint raises, with the handlers as `install` puts them there."""
    app = FastAPI()
    made = Problems(development=development)

    @app.api_route("/", methods=["GET", "POST"])
    async def endpoint() -> None:
        password = SECRET  # noqa: F841 - a local of a frame in the traceback
        raise raising()

    app.add_exception_handler(SeawallError, made.on_seawall_error)
    app.add_exception_handler(HTTPException, made.on_http_exception)
    app.add_exception_handler(RequestValidationError, made.on_validation_error)
    app.add_exception_handler(Exception, made.on_unexpected_error)
    return app


def ask(app: FastAPI, method: str = "GET", path: str = "/", **options: Any) -> httpx2.Response:
    async def once() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            return await http.request(method, path, **options)

    return virtual_time.run(once())


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "seawall.web"]


def noted(error: Exception) -> Exception:
    error.add_note(SECRET)
    return error


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def integrity_error() -> DBAPIError:
    engine = create_engine("sqlite://")
    insert = text("INSERT INTO person VALUES (:mail)")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE person (mail TEXT UNIQUE)"))
        connection.execute(insert, {"mail": SECRET})
        with pytest.raises(IntegrityError) as caught:
            connection.execute(insert, {"mail": SECRET})
    engine.dispose()
    assert SECRET in str(caught.value), "else there is nothing to hide"
    return caught.value


WITH_SECRETS: dict[str, Callable[[], Exception]] = {
    "message": lambda: RuntimeError(SECRET),
    "arguments": lambda: RuntimeError("failed", SECRET, {"password": SECRET}),
    "note": lambda: noted(RuntimeError()),
    "cause": lambda: caused(RuntimeError(), ValueError(SECRET)),
    "key": lambda: KeyError(SECRET),
    "group": lambda: ExceptionGroup(SECRET, [RuntimeError(SECRET)]),
    "groups": lambda: ExceptionGroup(SECRET, [RuntimeError(SECRET), ExceptionGroup(SECRET, [OSError(SECRET)])]),
    "group with one of ours": lambda: ExceptionGroup(SECRET, [errors.ConflictError("a", 1, SECRET), OSError(SECRET)]),
    "unreadable": UnreadableError,
    "broken": Broken,
    "unreadable of ours": lambda: UnreadableSeawallError(SECRET),
    "sql": integrity_error,
    "sql as a cause": lambda: caused(errors.DataIntegrityError(SECRET), integrity_error()),
    "timeout": lambda: TimeoutError(SECRET),
    "detail": lambda: errors.NotFoundError("campaign", 7, SECRET),
    "context": lambda: errors.JobError("report", context={"password": SECRET, "row": SECRET}),
    "500 of the endpoint": lambda: HTTPException(500, SECRET),
    "503 of the endpoint": lambda: HTTPException(503, {"why": SECRET}),
    "not for callers": lambda: CircuitOpenError(SECRET, 1.0, "open"),
    "option": lambda: OptionError("Retry", "attempts", SECRET, "1"),
    "memory": lambda: MemoryError(SECRET),
    "recursion": lambda: RecursionError(SECRET),
}


@pytest.mark.parametrize("raising", WITH_SECRETS.values(), ids=list(WITH_SECRETS))
def test_the_body_holds_nothing_of_what_happened_inside(raising):
    answer = ask(site(raising))
    assert SECRET not in answer.text
    assert SECRET not in str(answer.headers)
    assert answer.status_code >= 400
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    assert not answer.json().keys() & {"traceback", "context", "internal_detail"}


@pytest.mark.parametrize("raising", WITH_SECRETS.values(), ids=list(WITH_SECRETS))
def test_every_error_is_logged_once_and_from_500_on_by_its_id(raising, caplog):
    caplog.set_level(logging.DEBUG)
    answer = ask(site(raising))
    (record,) = ours(caplog)
    assert getattr(record, "error_id", None) == answer.json().get("error_id")
    assert ("error_id" in answer.json()) == (answer.status_code >= 500)
    assert (record.method, record.path, record.client) == ("GET", "/", "127.0.0.1")  # type: ignore[attr-defined]
    logging.Formatter().format(record)


def test_development_tells_what_happened_inside():
    error = errors.ExternalApiError("stripe", "no such key", context={"attempt": 3, "apiKey": SECRET})
    body = ask(site(lambda: caused(error, ValueError("the cause")), development=True)).json()
    assert body["detail"] == error.user_message
    assert body["internal_detail"] == "ExternalApiError: stripe failed: no such key"
    assert body["context"] == {"attempt": 3, "apiKey": "[hidden]"}
    assert "ValueError: the cause" in body["traceback"]
    assert body["code"] == "external"


def test_development_tells_what_an_unexpected_error_says():
    body = ask(site(lambda: RuntimeError("the reason"), development=True)).json()
    assert (body["status"], body["code"], body["detail"]) == (500, "internal", "RuntimeError: the reason")
    assert body["traceback"][-1] == "RuntimeError: the reason"


@pytest.mark.parametrize("kind", ["unreadable", "broken", "unreadable of ours", "groups", "sql"])
def test_development_answers_whatever_the_error_is_like(kind):
    assert ask(site(WITH_SECRETS[kind], development=True)).json()["traceback"]


def test_sql_parameters_reach_neither_log_nor_development(caplog):
    for kind in ("sql", "sql as a cause"):
        body = ask(site(WITH_SECRETS["sql"], development=True)).text
        assert "INSERT INTO person" in body
        assert SECRET not in body
        ask(site(WITH_SECRETS[kind]))
    formatted = "".join(logging.Formatter().format(record) for record in ours(caplog))
    assert "INSERT INTO person" in formatted
    assert "(mail)\\n[parameters" not in formatted
    assert f"'{SECRET}'" not in formatted


class Account(BaseModel):
    name: str
    balance: int


@pytest.mark.parametrize("wrapped", ["alone", "cause", "context", "group"])
def test_values_that_pydantic_quotes_are_not_logged(wrapped, caplog):
    def raising() -> Exception:
        try:
            Account.model_validate({"name": "Mia", "balance": SECRET})
        except ValueError as error:
            if wrapped == "cause":
                return caused(RuntimeError("while reading"), error)
            if wrapped == "context":
                other = RuntimeError("while reading")
                other.__context__ = error
                return other
            return ExceptionGroup("several", [error, OSError()]) if wrapped == "group" else error
        raise AssertionError

    assert SECRET not in ask(site(raising, development=True)).text
    assert SECRET not in "".join(logging.Formatter().format(record) for record in ours(caplog))
    assert "balance (int_parsing)" in "".join(logging.Formatter().format(record) for record in ours(caplog))


def test_an_answer_that_does_not_fit_its_model_is_ours_and_not_shown(caplog):
    app = site(RuntimeError)

    @app.get("/account")
    async def account() -> Account:
        return {"name": "Mia", "balance": SECRET}  # type: ignore[return-value]

    answer = ask(app, path="/account")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    logged = "".join(logging.Formatter().format(record) for record in ours(caplog))
    assert SECRET not in logged + answer.text
    assert "response.balance (int_parsing)" in logged


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


# Validation


def beware(value: str) -> str:
    if value == SECRET:
        raise ValueError(f"{value} is not allowed")
    return value


def told(value: str) -> str:
    raise errors.ValidationError("colour", "must be a colour", f"got {value}")


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Order(BaseModel):
    amount: int = 1
    at: datetime | None = None
    id: uuid.UUID | None = None
    size: Literal["s", "m"] = "s"
    code: Annotated[str, Field(max_length=4)] = ""
    name: Annotated[str, AfterValidator(beware)] = ""
    colour: Annotated[str, AfterValidator(told)] | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    counts: dict[str, int] = {}

    @model_validator(mode="after")
    def together(self) -> "Order":
        assert self.code != "bad", f"not {self.code} with {SECRET}"
        return self


@pytest.mark.parametrize(
    ("sent", "field", "message", "code"),
    [
        ({"amount": SECRET}, "body.amount", "unable to parse string as an integer", "int_parsing"),
        ({"at": SECRET}, "body.at", "Input should be a valid date and time", "datetime_from_date_parsing"),
        ({"id": SECRET}, "body.id", "Input should be a valid UUID", "uuid_parsing"),
        ({"size": SECRET}, "body.size", "Input should be 's' or 'm'", "literal_error"),
        ({"code": SECRET}, "body.code", "at most 4 characters", "string_too_long"),
        ({"name": SECRET}, "body.name", "Input is not valid", "value_error"),
        ({"colour": SECRET}, "body.colour", "must be a colour", "invalid"),
        ({"pet": {"kind": SECRET}}, "body.pet", "Input is of none of the allowed kinds", "union_tag_invalid"),
        ({"code": "bad"}, "body", "Input is not valid", "assertion_error"),
        ({"counts": {"x": SECRET}}, "body.counts.x", "unable to parse string", "int_parsing"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_validation_tells_fields_and_reasons_and_no_values(sent, field, message, code, caplog):
    caplog.set_level(logging.DEBUG, logger="seawall")
    app = site(RuntimeError)

    @app.post("/orders")
    async def order(order: Order) -> None: ...

    answer = ask(app, "POST", "/orders", json=sent)
    body = answer.json()
    assert SECRET not in answer.text + caplog.text
    assert (answer.status_code, body["code"], body["field"]) == (422, "validation", field)
    assert body["errors"] == [{"field": field, "message": body["errors"][0]["message"], "code": code}]
    assert message in body["errors"][0]["message"]


def test_a_body_that_is_no_json_is_not_quoted():
    app = site(RuntimeError)

    @app.post("/orders")
    async def order(order: Order) -> None: ...

    answer = ask(app, "POST", "/orders", content=f'{{"a": {SECRET}', headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (422, "Invalid JSON")
    assert SECRET not in answer.text


@pytest.mark.parametrize("kind", sorted(_SAYS_NO_INPUT))
def test_messages_that_are_passed_on_quote_nothing(kind):
    assert kind in get_args(core_schema.ErrorType)
    context: dict[str, Any] = dict.fromkeys(
        ["gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "max_digits", "decimal_places"], 1
    )
    context |= dict.fromkeys(["error", "tag", "tz_actual", "attribute", "encoding_error", "input"], SECRET)
    context |= dict.fromkeys(
        ["class_name", "class", "pattern", "expected", "field_type", "encoding", "discriminator", "expected_schemes"],
        "x",
    )
    context |= {"actual_length": 2, "whole_digits": 1, "expected_version": 4, "tz_expected": 1, "expected_tags": "x"}
    assert SECRET not in PydanticKnownError(kind, context).message()


def test_a_thousand_wrong_fields_are_a_hundred_lines():
    found = [{"loc": ("body", "x" * 1000), "type": "missing", "msg": "Field required"}] * 1000
    shown = field_errors(found)
    assert len(shown) == 100
    assert len(shown[0]["field"]) < 120


def test_what_is_called_a_secret_is_withheld_at_any_depth():
    given = {
        "user": 1,
        "Password": SECRET,
        "nested": [{"X-Api-Key": SECRET, "accessToken": SECRET, "ok": "yes"}],
        "card_number": SECRET,
        "spinning": "kept",
    }
    cleaned = without_secrets(given)
    assert SECRET not in repr(cleaned)
    assert (cleaned["user"], cleaned["spinning"], cleaned["nested"][0]["ok"]) == (1, "kept", "yes")
    assert given["Password"] == SECRET, "the error keeps what it has"


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
