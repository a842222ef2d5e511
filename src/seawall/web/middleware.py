"""The one ASGI middleware: all that is done for a request before, around and after the app."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Callable, Mapping
from time import perf_counter, time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from seawall.core import SYSTEM_CLOCK, correlation, deadline
from seawall.core.correlation import Correlation
from seawall.core.expiry import TASKS, Expiries
from seawall.web.error_handling import EXCHANGE
from seawall.web.layer import Layer, Served, Span
from seawall.web.problems import problem
from seawall.web.route_template import template_of
from seawall.web.trace_context import TRACEPARENT, parent_of

REQUEST_ID_HEADER = "x-request-id"
_REQUEST_ID, _DEADLINE = REQUEST_ID_HEADER.encode(), deadline.HEADER.encode()
_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
SWITCHED, REFUSED = 101, 403
"""The status of a websocket that was accepted, and of one that was closed before."""
CUT = 499
"""The status of a request whose client left before it had the whole answer; as nginx has it."""


class BodyTooLargeError(HTTPException):
    """A request's body is larger than allowed. An `HTTPException`, because FastAPI lets only those through."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the body may have {limit} bytes at most")


class SeawallMiddleware:
    """Wraps an ASGI app.

    A request gets an id (its caller's, when that is up to 128 letters, digits, `.`, `_` or `-`), a place in a trace, a
    deadline, and an answer whatever happens: one that has none at its deadline gets a 504; once an answer has begun, it
    may take its time. An unexpected error is a 500, a request cancelled as the server stops a 503; where the response
    has begun already, the connection ends so that the client can tell. Websockets get an id and their place in a trace.
    """

    def __init__(self, app: ASGIApp, *, layer: Layer) -> None:
        self.app = app
        self._layer = layer
        self._expiries = Expiries(None, SYSTEM_CLOCK.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] == "http":
            loop = asyncio.get_running_loop()
            if self._expiries.loop is not loop:
                self._expiries = Expiries(loop, loop.time)
            await _Exchange(self._layer, self._expiries, scope, receive, send).serve(self.app)
        elif scope["type"] == "websocket":
            await self._talk(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        layer, root, began = self._layer, scope.get("root_path", ""), perf_counter()
        work, caller = _identify(layer, dict(scope["headers"]), scope)
        span = layer.tracer.began(scope, work, caller) if work.sampled and layer.tracer is not None else None
        token = correlation.current.set(work)
        for recorder in layer.sockets:
            recorder.opened()
        failed: BaseException | None = None
        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            status = status or _handshake(message)
            await send(message)

        try:
            await self.app(scope, receive, send if span is None else told)
        except BaseException as error:
            failed = error
            raise
        finally:
            route, seconds = template_of(scope, root), perf_counter() - began
            for recorder in layer.sockets:
                recorder.closed(route, seconds)
            if span is not None:
                if isinstance(failed, WebSocketDisconnect):
                    failed, status = None, status or CUT  # the client has left, as clients do
                if isinstance(failed, Exception) or not status:
                    status = 500
                span.ended(
                    Served(
                        time() - seconds, "GET", scope["path"], route, status, seconds, layer.client(scope), 0, work
                    ),
                    failed,
                )
            correlation.current.reset(token)


def _handshake(message: Message) -> int:
    """The status that a websocket gets by it; 0 where none yet."""
    kind = message["type"]
    if kind == "websocket.http.response.start":
        return int(message["status"])
    return SWITCHED if kind == "websocket.accept" else REFUSED if kind == "websocket.close" else 0


def _identify(layer: Layer, headers: Mapping[bytes, bytes], scope: Scope) -> tuple[Correlation, str | None]:
    """What a request is called, and the span that asked for it."""
    drawn_ids = random.getrandbits(192).to_bytes(24).hex()  # once for both
    span_id = drawn_ids[32:]
    parent = parent_of(scope["headers"]) if TRACEPARENT in headers else None
    if parent is None:
        trace_id, caller, drawn, state = drawn_ids[:32], None, True, ""
        sampled = layer.tracer is not None and layer.tracer.sample()
    else:
        trace_id, caller, sampled, drawn, state = parent
    given = headers.get(_REQUEST_ID)
    request_id = trace_id if given is None or _ID.fullmatch(given) is None else given.decode()
    return Correlation(request_id, trace_id, span_id, sampled, drawn, state), caller


class _Exchange:
    """One request under way, and its answer."""

    __slots__ = (
        "_began", "_cancelling", "_client", "_disconnected", "_expired", "_expiries", "_inner_receive", "_inner_send",
        "_layer", "_method", "_path", "_received", "_recorded", "_release", "_root", "_scope", "_size", "_span",
        "_status", "_task", "_timed", "_timer", "_work",
    )  # fmt: skip

    def __init__(self, layer: Layer, expiries: Expiries, scope: Scope, receive: Receive, send: Send) -> None:
        self._began = perf_counter()
        self._layer = layer
        self._expiries = expiries
        self._scope = scope
        scope.setdefault(EXCHANGE, self)  # an app around this one has its own there, which goes on
        self._inner_receive = receive
        self._inner_send = send
        self._method: str = scope["method"]
        self._path: str = scope["path"]
        self._root: str = scope.get("root_path", "")
        self._status = self._size = self._received = 0
        self._expired = self._disconnected = self._recorded = False
        self._release: Callable[[bool], None] | None = None
        self._span: Span | None = None

    @property
    def begun(self) -> bool:
        """Whether there is a response."""
        return self._status != 0

    async def serve(self, app: ASGIApp) -> None:
        layer, scope = self._layer, self._scope
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self._work, caller = _identify(layer, headers, scope)
        self._client = layer.client(scope)
        for began in layer.begins:
            began()
        if self._work.sampled and layer.tracer is not None:
            self._span = layer.tracer.began(scope, self._work, caller)
        seconds = self._asked(headers[_DEADLINE]) if _DEADLINE in headers else layer.timeout
        identity = correlation.current.set(self._work)
        bound = deadline.current.set(min(layer.clock.monotonic() + seconds, deadline.current.get()))
        self._bound(seconds)
        failed: BaseException | None = None
        try:
            if layer.admission is not None and self._path not in layer.exempt:
                self._release = layer.admission.admit()
            if layer.body_limit is not None and b"content-length" in headers:
                _check_length(headers[b"content-length"], layer.body_limit)
            await app(scope, self.receive, self.send)
        except (Exception, asyncio.CancelledError) as error:
            failed = error
            if not await self._answered(error, seconds):
                raise
        finally:
            if self._timed:
                self._out_of_time()
            if self._release is not None:
                self._release(self._expired)
            if not self._recorded:
                left = self._disconnected or isinstance(failed, asyncio.CancelledError)
                self._record(CUT if left else 500, failed)
            if scope.get(EXCHANGE) is self:
                del scope[EXCHANGE]  # they would keep each other until garbage is collected
            deadline.current.reset(bound)
            correlation.current.reset(identity)

    def _asked(self, header: bytes) -> float:
        """The seconds that the caller waits, and no more than it may have."""
        asked = deadline.from_header(header.decode("latin-1"))
        return self._layer.timeout if asked is None else min(asked, self._layer.timeout)

    async def _answered(self, error: BaseException, seconds: float) -> bool:
        """Answer in place of the app that raised `error`; False where it must go on, to the server."""
        if self._out_of_time():
            # Ours was the one cancellation, unless somebody else wants the task to end too.
            ours = self._task.uncancel() <= self._cancelling
            if ours or not isinstance(error, asyncio.CancelledError):
                detail = f"the request was not done within {seconds:g} s"
                await self._answer(problem(504, code="deadline-exceeded", detail=detail))
                return True
        if isinstance(error, asyncio.CancelledError):
            if not self._status and not self._disconnected:
                with contextlib.suppress(Exception):
                    await self._answer(problem(503, code="shutting-down", headers={"Retry-After": "1"}))
            return False
        assert isinstance(error, Exception)  # noqa: S101 - what else is caught
        answer = await self._layer.problems.answer(error, self._scope)  # logs it, too
        if self._status:
            return False
        await self._answer(answer)
        return True

    def _bound(self, seconds: float) -> None:
        """Begin to measure the time: in the table of all requests, or by a timer for one that has less."""
        expiries = self._expiries
        loop = expiries.loop
        assert loop is not None  # noqa: S101 - it was set to the running one
        task = asyncio.current_task(loop) if TASKS is None else TASKS[loop]
        assert task is not None  # noqa: S101 - servers run requests in tasks
        self._task = task
        self._cancelling = task.cancelling()
        self._timed = True
        self._timer: asyncio.TimerHandle | None = None
        if seconds != self._layer.timeout or task in expiries.calls:
            self._timer = loop.call_later(seconds, self._expire)
            return
        expiries.calls[task] = loop.time() + seconds
        if not expiries.armed:
            expiries.arm(seconds)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def _out_of_time(self) -> bool:
        """Whether the deadline has ended it; it is measured no longer."""
        if self._timed:
            self._timed = False
            if self._timer is not None:
                self._timer.cancel()
            elif self._expiries.calls.pop(self._task, None) is None:
                self._expired = True
        return self._expired

    async def send(self, message: Message) -> None:
        """Pass on what the app answers, with what the layer adds."""
        kind = message["type"]
        if kind == "http.response.body":
            size = len(message.get("body", b""))
            more = message.get("more_body", False)
            if more and self._release is not None:
                # A stream may last for hours, which says nothing about load.
                self._release(False)
                self._release = None
            await self._inner_send(message)
            self._size += size
            if not more and not self._recorded:
                self._record(self._status, None)
        elif kind == "http.response.start":
            self._status = message["status"]
            # What is left is the response's own: a stream, or work in the background, may take its time.
            if self._out_of_time():
                self._expired = False  # the app has answered in spite of it
                self._task.uncancel()
            deadline.current.set(deadline.NEVER)
            layer = self._layer
            headers = list(message.get("headers", ()))
            present = dict(headers)
            headers.append((_REQUEST_ID, self._work.request_id.encode()))
            if layer.names.isdisjoint(present):
                headers += layer.headers
            else:
                headers += [header for header in layer.headers if header[0] not in present]
            message["headers"] = headers
            await self._inner_send(message)
        else:
            await self._inner_send(message)

    async def receive(self) -> Message:
        """Pass on what the client sends, no more of it than allowed."""
        message = await self._inner_receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        elif self._layer.body_limit is not None:
            self._received += len(message.get("body", b""))
            if self._received > self._layer.body_limit:
                raise BodyTooLargeError(self._layer.body_limit)
        return message

    async def _answer(self, response: ASGIApp) -> None:
        if not self._status:
            await response(self._scope, self._inner_receive, self.send)

    def _record(self, status: int, error: BaseException | None) -> None:
        """Tell that the answer is through, or will never be."""
        self._recorded = True
        seconds = perf_counter() - self._began
        route, at = template_of(self._scope, self._root), time() - seconds
        told = (at, self._method, self._path, route, status, seconds, self._client, self._size, self._work)
        served = tuple.__new__(Served, told)  # what its constructor does, but at once
        for ended in self._layer.ends:
            ended(served)
        if self._span is not None:
            self._span.ended(served, error)


def _check_length(given: bytes, limit: int) -> None:
    if given.isdigit() and int(given) > limit:
        raise BodyTooLargeError(limit)
