"""What callers are not told of errors, and developers are."""

import logging
from collections.abc import Callable

import pytest
from fastapi import HTTPException
from pydantic import BaseModel

from seawall import errors
from seawall.core import OptionError
from seawall.resilience.errors import CircuitOpenError
from seawall.web import problems
from tests.unit.web.problem_site import (
    SECRET,
    Broken,
    UnreadableError,
    UnreadableSeawallError,
    ask,
    caused,
    integrity_error,
    noted,
    ours,
    site,
)

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
