"""Errors as problem details (RFC 9457), which tell the caller what concerns the caller."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seawall.core import SeawallError

_logger = logging.getLogger("seawall.web")

MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    *,
    code: str | None = None,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """A problem response. `type` is `urn:seawall:problem:` and the code, or `about:blank` without one."""
    body: dict[str, Any] = {
        "type": "about:blank" if code is None else f"urn:seawall:problem:{code}",
        "title": _phrase(status),
        "status": status,
    }
    if detail is not None:
        body["detail"] = detail
    return JSONResponse(body | members, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


async def on_seawall_error(_request: Request, error: Exception) -> Response:
    """Our errors by their status: with their message where that is for the caller, and when to come back."""
    assert isinstance(error, SeawallError)  # noqa: S101 - registered for it
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return unexpected(error)
    retry_after = getattr(error, "retry_after", None)
    headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
    detail = str(error) if error.public else None
    return problem(error.status, code=error.code, detail=detail, headers=headers)


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """What the framework or an endpoint raised on purpose: 404, 405, 401 …"""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    if error.status_code in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        return Response(status_code=error.status_code, headers=error.headers)
    if not isinstance(error.detail, str):
        return problem(error.status_code, headers=error.headers, errors=error.detail)
    detail = error.detail if error.detail != _phrase(error.status_code) else None
    return problem(error.status_code, detail=detail, headers=error.headers)


async def on_validation_error(_request: Request, error: Exception) -> Response:
    """Which fields are wrong and why; never the values that were sent."""
    found: list[dict[str, Any]] = getattr(error, "errors", list)()
    errors = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"], "code": one["type"]} for one in found]
    wrong = "1 field is wrong" if len(errors) == 1 else f"{len(errors)} fields are wrong"
    return problem(422, code="validation", detail=wrong, errors=errors)


async def on_unexpected_error(_request: Request, error: Exception) -> Response:
    """The last resort: an id to find the log line by, nothing else."""
    return unexpected(error)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Status"


def unexpected(error: BaseException) -> Response:
    """Log `error` with a new id, and answer with that id alone."""
    error_id = uuid.uuid4().hex
    _logger.error("unexpected error", exc_info=error, extra={"error_id": error_id})
    return problem(500, code="internal", detail="Something went wrong on our side.", error_id=error_id)
