"""The one ASGI middleware: request id, deadline, access line, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seawall.core import SYSTEM_CLOCK, Clock, deadline
from seawall.web.problems import problem, unexpected

_access = logging.getLogger("seawall.access")
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
REQUEST_ID_HEADER = "x-request-id"


class SeawallMiddleware:
    """Wraps an ASGI app.

    timeout: seconds for a request whose caller sends no `Request-Timeout`; a caller may ask for less, not more.
    request_id: where the id of the request at hand is kept; one that the caller sends is taken over when it
        is up to 128 letters, digits, `.`, `_` or `-`.

    A request that has no answer at its deadline gets a 504; once an answer has begun, it may take its time. An
    unexpected error is a 500, a request cancelled as the server stops a 503; where the response has begun already,
    the connection ends so that the client can tell.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        timeout: float,
        request_id: ContextVar[str | None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._app = app
        self._timeout = timeout
        self._request_id = request_id
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        asked = deadline.from_header(headers.get(deadline.HEADER))
        seconds = self._timeout if asked is None else min(asked, self._timeout)
        token = self._request_id.set(request_id)
        status = 0
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        async def send_begun(message: Message) -> None:
            # What is left is the response's own: a stream, or work in the background, may take its time.
            if not status:
                limit.reschedule(None)
                deadline.current.set(deadline.NEVER)
            await send_with_id(message)

        limit = asyncio.timeout(seconds)
        try:
            try:
                with deadline.within(seconds, clock=self._clock):
                    async with limit:
                        await self._app(scope, receive, send_begun)
            except Exception as error:
                if limit.expired():
                    detail = f"the request was not done within {seconds:g} s"
                    answer: Response = problem(504, code="deadline-exceeded", detail=detail)
                else:
                    answer = unexpected(error)
                if status:
                    raise
                await answer(scope, receive, send_with_id)
            except asyncio.CancelledError:
                if not status:
                    with contextlib.suppress(Exception):
                        gone = problem(503, code="shutting-down", headers={"Retry-After": "1"})
                        await gone(scope, receive, send_with_id)
                raise
        finally:
            _log_access(scope, status, time.perf_counter() - began)
            self._request_id.reset(token)


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    extra = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "duration_ms": round(seconds * 1000, 2),
        "client": (scope.get("client") or ("unknown",))[0],
    }
    _access.info("%s %s %s", scope["method"], scope["path"], status or "cut", extra=extra)
