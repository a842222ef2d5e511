"""Errors as problem details (RFC 9457), which tell the caller what concerns the caller."""

from __future__ import annotations

import inspect
import logging
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from seawall.core import Events, SeawallError, correlation
from seawall.core.errors import Severity
from seawall.web.disclosure import context_of, described, headers_of, loggable, members_of, message_for_callers
from seawall.web.events import ErrorAnswered
from seawall.web.field_errors import field_errors
from seawall.web.plain_json import plain_json
from seawall.web.route_template import template_of

try:
    from fastapi.exceptions import RequestValidationError
except ImportError:  # a plain Starlette app validates nothing
    RequestValidationError = None  # type: ignore[assignment, misc]

_logger = logging.getLogger("seawall.web")

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499
"""The status of a request whose client did not wait; as nginx has it. Nobody reads it but the log."""

_SERVER_ERROR = 500
_OUR_SIDE = "Something went wrong on our side."
_LEVELS = {
    Severity.LOW: logging.INFO,
    Severity.MEDIUM: logging.WARNING,
    Severity.HIGH: logging.ERROR,
    Severity.CRITICAL: logging.CRITICAL,
}
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED})
_OF_THE_BODY = frozenset({"content-length", "content-type", "content-encoding", "transfer-encoding"})
_IN_SCOPE = "seawall.error"
"""Where a request's scope has the error that was logged last, and its id."""
_CATEGORIES = {
    401: "authentication",
    402: "payment",
    403: "authorization",
    404: "not-found",
    409: "conflict",
    410: "not-found",
    413: "limit",
    429: "limit",
}
_MOST_LINES = 400


class _ProblemResponse(JSONResponse):
    """JSON whatever the members are: an answer that can't be written would be another error."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        try:
            return super().render(content)
        except (TypeError, ValueError, RecursionError):
            return plain_json(content)


def problem(
    status: int,
    *,
    code: str | None = None,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """A problem response. `type` is `urn:seawall:problem:` and the code, or `about:blank` without one.

    It has the request's ids, and an `error_id` from status 500 on; unless one is given, it is logged here.
    """
    body: dict[str, Any] = {
        "type": "about:blank" if code is None else f"urn:seawall:problem:{code}",
        "title": _phrase(status),
        "status": status,
    }
    if detail is not None:
        body["detail"] = detail
    if code is not None:
        body["code"] = code
    body |= members
    work = correlation.current.get()
    if work is not None:
        body["request_id"] = work.request_id
        body["trace_id"] = work.trace_id
    if status >= _SERVER_ERROR and "error_id" not in body:
        body["error_id"] = uuid.uuid4().hex
        extra = {"error_id": body["error_id"], "code": code, "status": status}
        _logger.info("answered with problem %s %s", status, code or "", extra=extra)
    return _ProblemResponse(body, status_code=status, headers=dict(headers or {}))


class Problems:
    """Answers errors, logs each once, and reports it as `ErrorAnswered`.

    development: the body also tells what happened inside: `internal_detail`, `context`, `traceback`, and as `detail`
    what else is told to nobody. Never where strangers call.
    """

    def __init__(self, *, development: bool = False, events: Events | None = None) -> None:
        self.development = development
        self.own_handler: Any = None
        """The app's own, of what nobody expected: it answers in place of `answer`."""
        self._events = events

    async def on_seawall_error(self, request: Request, error: Exception) -> Response:
        """Our errors by their status: with what is for the caller, and when to come back."""
        return self.answer_to(error, request.scope)

    async def on_http_exception(self, request: Request, error: Exception) -> Response:
        """What the framework or an endpoint raised on purpose: 404, 405, 401 …"""
        return self.answer_to(error, request.scope)

    async def on_validation_error(self, request: Request, error: Exception) -> Response:
        """Which fields are wrong and why; never the values that were sent."""
        return self.answer_to(error, request.scope)

    async def on_unexpected_error(self, request: Request, error: Exception) -> Response:
        """The last resort: an id to find the log line by, nothing else."""
        return self.answer_to(error, request.scope)

    async def answer(self, error: Exception, scope: Scope) -> Response:
        """As `answer_to`, unless the app has a handler of its own for what nobody expected."""
        answer, own = self.answer_to(error, scope), self.own_handler
        if own is None or isinstance(error, (SeawallError, HTTPException)):
            return answer
        try:
            waits = inspect.iscoroutinefunction(own) or inspect.iscoroutinefunction(type(own).__call__)
            found: Any = own(Request(scope), error) if waits else await run_in_threadpool(own, Request(scope), error)
            response: Response = await found if inspect.isawaitable(found) else found
        except Exception as another:  # noqa: BLE001 - of the handler, which is as much an error
            return self.answer_to(another, scope)
        return response

    def answer_to(self, error: Exception, scope: Scope | None = None) -> Response:
        """The response to any error.

        scope: the request's. The log line then tells which it was, and an error that comes by again on its way out is
        not logged again. Where the response has begun already, nothing else is of use.
        """
        case = _Case(error, scope)
        one = _decisive(error)
        if isinstance(one, SeawallError):
            answer = self._of_seawall_error(one, case)
        elif isinstance(one, HTTPException):
            answer = self._of_http_exception(one, case)
        elif RequestValidationError is not None and isinstance(one, RequestValidationError):
            answer = self._of_validation_error(one, case)
        elif isinstance(one, ClientDisconnect):
            case.facts("client-gone", "validation", Severity.LOW, CLIENT_GONE)
            case.log(logging.INFO, "the client left before it had sent its request")
            answer = problem(CLIENT_GONE, code="client-gone")
        else:
            answer = self._of_unexpected_error(one, case)
        if self._events is not None and self._events.listeners and not case.seen:
            self._events.emit(case.event())
        return answer

    def _of_seawall_error(self, error: SeawallError, case: _Case) -> Response:
        status, code, category, retryable = _status_of(error), error.code, error.category, error.retryable
        detail = message_for_callers(error)
        case.facts(code, category, error.severity, status)
        extra: dict[str, Any] = {"retryable": retryable}
        context = context_of(error)
        if context:
            extra["context"] = context
        if status < _SERVER_ERROR:
            case.log(logging.INFO, "refused: %s", described(error), **extra)
            members = members_of(error)
        else:
            # Where it was raised tells little of a refusal, which may come a thousand times a second.
            traced = status == _SERVER_ERROR or error.__cause__ is not None
            # A caller can do nothing with the name of a mistake of ours.
            ours = status == _SERVER_ERROR and detail is None
            level = max(_LEVELS.get(error.severity, logging.ERROR), logging.ERROR if ours else 0)
            case.log(level, "failed: %s", described(error), traced=traced, **extra)
            if ours:
                code, category, retryable, detail = "internal", "internal", False, _OUR_SIDE
            members = members_of(error) | {"error_id": case.error_id}
        inside = self._inside(case, error)
        if code == "internal":
            detail = inside.get("internal_detail", detail)
        shown = {"category": category, "retryable": retryable} | inside
        return problem(status, **_named(members | shown, code=code, detail=detail, headers=_headers(headers_of(error))))

    def _of_http_exception(self, error: HTTPException, case: _Case) -> Response:
        status, headers = error.status_code, _headers(error.headers)
        if status in _WITHOUT_BODY:
            case.seen = True  # it is no error
            return Response(status_code=status, headers=headers)
        failed = status >= _SERVER_ERROR
        category = "internal" if failed else _CATEGORIES.get(status, "validation")
        case.facts(f"http-{status}", category, Severity.HIGH if failed else Severity.LOW, status)
        members: dict[str, Any] = {}
        if failed:
            # Its text is the text of another exception more often than one for callers.
            case.log(logging.ERROR, "answered with %s: %s", status, described(error), traced=True)
            members = {"error_id": case.error_id} | self._inside(case, error)
            if not self.development:
                return problem(status, headers=headers, **members)
        if not isinstance(error.detail, str):
            return problem(status, headers=headers, errors=error.detail, **members)
        detail = error.detail if error.detail != _phrase(status) else None
        return problem(status, detail=detail, headers=headers, **members)

    def _of_validation_error(self, error: Any, case: _Case) -> Response:
        case.facts("validation", "validation", Severity.LOW, 422)
        errors = field_errors(error.errors(), development=self.development)
        wrong = "1 field is wrong" if len(errors) == 1 else f"{len(errors)} fields are wrong"
        members: dict[str, Any] = {"category": "validation", "retryable": False, "errors": errors}
        if len(errors) == 1:
            members["field"] = errors[0]["field"]
        return problem(422, code="validation", detail=wrong, **members)

    def _of_unexpected_error(self, error: Exception, case: _Case) -> Response:
        late = isinstance(error, TimeoutError)
        status, code, detail = (504, "timeout", "It took too long.") if late else (500, "internal", _OUR_SIDE)
        severity = Severity.CRITICAL if isinstance(error, MemoryError) else Severity.HIGH
        case.facts(code, code, severity, status)
        case.log(_LEVELS[severity], "unexpected error", traced=True)
        inside = self._inside(case, case.raised)
        detail = inside.get("internal_detail", detail)
        members: dict[str, Any] = {"category": code, "retryable": late, "error_id": case.error_id} | inside
        return problem(status, code=code, detail=detail, **members)

    def _inside(self, case: _Case, error: Exception) -> dict[str, Any]:
        """What happened inside, in development; `error` is the one that decided."""
        if not self.development:
            return {}
        # What the log withholds is withheld here too.
        shown = loggable(case.raised)
        lines = "".join(traceback.format_exception(shown)).splitlines()
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES // 2], "…", *lines[-_MOST_LINES // 2 :]]
        detail = described(shown if error is case.raised else error)
        return {"internal_detail": detail, "context": context_of(error), "traceback": lines}


class _Case:
    """One error of one request: its id, what is known of it, and its line in the log."""

    __slots__ = ("_facts", "_scope", "error_id", "raised", "seen")

    def __init__(self, raised: Exception, scope: Scope | None) -> None:
        self.raised = raised
        self._scope = scope
        self._facts = ("internal", "internal", Severity.HIGH, _SERVER_ERROR)
        before = None if scope is None else scope.get(_IN_SCOPE)
        self.seen: bool = before is not None and before[0] == id(raised)
        self.error_id: str = before[1] if before is not None and self.seen else uuid.uuid4().hex
        if scope is not None:
            # Not the error itself, whose traceback leads back to here.
            scope[_IN_SCOPE] = (id(raised), self.error_id)

    def facts(self, code: str, category: str, severity: Severity, status: int) -> None:
        self._facts = (code, category, severity, status)

    def log(self, level: int, message: str, *args: object, traced: bool = False, **extra: Any) -> None:
        if self.seen or not _logger.isEnabledFor(level):
            return
        code, category, severity, status = self._facts
        extra |= {"code": code, "category": category, "severity": str(severity), "status": status}
        if status >= _SERVER_ERROR:
            extra["error_id"] = self.error_id
        _logger.log(
            level, message, *args, exc_info=loggable(self.raised) if traced else None, extra=_where(self._scope) | extra
        )

    def event(self) -> ErrorAnswered:
        code, category, severity, status = self._facts
        answered = ErrorAnswered(code=code, category=category, severity=str(severity), status=status, error_id=None)
        if status < _SERVER_ERROR:
            return answered
        scope = self._scope
        # A mount has changed the root path, and kept the app's own.
        root = "" if scope is None else scope.get("app_root_path", scope.get("root_path", ""))
        route = None if scope is None or "path" not in scope else template_of(scope, root)
        return replace(answered, error_id=self.error_id, error=self.raised, route=route)


def _where(scope: Scope | None) -> dict[str, Any]:
    """Which request it was, and whose."""
    if scope is None:
        return {}
    client = (scope.get("client") or ("unknown",))[0]
    return {"method": scope.get("method", ""), "path": scope.get("path", ""), "client": client}


def _decisive(error: Exception) -> Exception:
    """Of a group, as task groups raise them, the error that decides about the answer: the gravest, if each is known."""
    if not isinstance(error, ExceptionGroup):
        return error
    leaves = _leaves(error)
    if len(leaves) == 1:
        return leaves[0]
    known = [leaf for leaf in leaves if isinstance(leaf, (SeawallError, HTTPException))]
    return max(known, key=_status_of) if len(known) == len(leaves) else error


def _leaves(error: Exception) -> list[Exception]:
    found: list[Exception] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, ExceptionGroup):
            waiting += reversed(one.exceptions)
        else:
            found.append(one)
    return found


def _status_of(error: Exception) -> int:
    status = error.status_code if isinstance(error, HTTPException) else getattr(error, "status", None)
    known = isinstance(status, int) and (400 <= status <= 599 or isinstance(error, HTTPException))  # noqa: PLR2004
    return int(status) if known and status is not None else _SERVER_ERROR


def _named(members: dict[str, Any], **ours: Any) -> dict[str, Any]:
    """The arguments of `problem`; an error's members don't replace what every problem has."""
    own = {"type", "title", "status", "request_id", "trace_id"}
    return {name: value for name, value in members.items() if name not in own} | ours


def _headers(given: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (given or {}).items() if name.lower() not in _OF_THE_BODY}


def _phrase(status: int) -> str:
    if status == CLIENT_GONE:
        return "Client Closed Request"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Status"
