"""The one ASGI middleware: all that is done for a request before, around and after the app."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from seawall.core import SYSTEM_CLOCK, correlation, deadline
from seawall.core.correlation import Correlation
from seawall.core.expiry import TASKS, Expiries
from seawall.web.error_handling import SERVED
from seawall.web.layer import Layer, Served, Span
from seawall.web.problems import problem
from seawall.web.route_template import template_of
from seawall.web.trace_context import TRACEPARENT, parent_of

REQUEST_ID_HEADER = "x-request-id"
_correlation, _deadline = correlation.current, deadline.current
_REQUEST_ID, _ASKED = REQUEST_ID_HEADER.encode(), deadline.HEADER.encode()
_JSON = frozenset({b"application/json", b"application/problem+json"})
_BY_THE_SERVER = frozenset({"http.response.pathsend", "http.response.zerocopysend"})
"""Messages with a body that the server reads itself: of what size is not told."""
_new = object.__new__
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
        self._expiries = Expiries(None, monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] != "http":
            await (self._talk if scope["type"] == "websocket" else self.app)(scope, receive, send)
            return
        layer, began = self._layer, monotonic()
        headers = dict(scope["headers"])
        work, caller = _identify(layer, headers, scope)
        exchange = _exchange(layer, scope, receive, send, work)
        exchange.began = began
        served = exchange.served
        layer.began()
        if work.sampled and layer.tracer is not None:
            exchange.span = layer.tracer.began(scope, work, caller)
        seconds = _asked(headers[_ASKED], layer.timeout) if _ASKED in headers else layer.timeout
        loop = asyncio.get_running_loop()
        expiries = self._expiries if self._expiries.loop is loop else self._expiries_of(loop)
        # Servers run requests in tasks.
        task: Any = asyncio.current_task(loop) if TASKS is None else TASKS[loop]
        # One look at the clock, where it is the loop's and the layer's, too.
        until = (began if layer.clock is SYSTEM_CLOCK else layer.clock.monotonic()) + seconds
        given = _deadline.get()
        identity = _correlation.set(work)
        _deadline.set(until if until < given else given)  # noqa: FURB136 - one call less
        exchange.task = task
        exchange.cancelling = task.cancelling()
        exchange.expiries = expiries
        if seconds == layer.timeout:
            expiries.calls[exchange] = (began if expiries.clock is monotonic else expiries.clock()) + seconds
            if not expiries.armed:
                expiries.arm(seconds)
        else:  # in that table are those that expire in the order they began
            exchange.timer = loop.call_later(seconds, exchange.cancel)
        failed: BaseException | None = None
        try:
            if layer.admission is not None and served.path not in layer.exempt:
                exchange.release = layer.admission.admit()
            if layer.body_limit is not None and b"content-length" in headers:
                _check_length(headers[b"content-length"], layer.body_limit)
            await self.app(scope, exchange.receive, exchange.send)
            if not served.status:
                await exchange.unanswered(seconds)
        except (Exception, asyncio.CancelledError) as error:
            failed = error
            if not await exchange.answered(error, seconds):
                raise
        finally:
            exchange.end(failed)
            failed = None  # it knows this frame
            # First what fails in another context, as that in which the garbage collector ends an abandoned request:
            # the deadline is put back by its value, which is mostly there already, as an answer has begun.
            _correlation.reset(identity)
            if _deadline.get() != given:
                _deadline.set(given)

    def _expiries_of(self, loop: asyncio.AbstractEventLoop) -> Expiries:
        own = getattr(loop.time, "__func__", None) is not asyncio.BaseEventLoop.time  # uvloop, virtual time
        self._expiries = expiries = Expiries(loop, loop.time if own else monotonic)
        return expiries

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        layer, root, began = self._layer, scope.get("root_path", ""), monotonic()
        work, caller = _identify(layer, dict(scope["headers"]), scope)
        span = layer.tracer.began(scope, work, caller) if work.sampled and layer.tracer is not None else None
        token = _correlation.set(work)
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
            route, seconds = template_of(scope, root), monotonic() - began
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
            _correlation.reset(token)


def _handshake(message: Message) -> int:
    """The status that a websocket gets by it; 0 where none yet."""
    kind = message["type"]
    if kind == "websocket.http.response.start":
        return int(message["status"])
    return SWITCHED if kind == "websocket.accept" else REFUSED if kind == "websocket.close" else 0


def _identify(layer: Layer, headers: Mapping[bytes, bytes], scope: Scope) -> tuple[Correlation, str | None]:
    """What a request is called, and the span that asked for it."""
    work = _new(Correlation)
    work.fields = None
    parent = parent_of(scope["headers"]) if TRACEPARENT in headers else None
    if parent is None:
        work.trace_id = random.getrandbits(128).to_bytes(16).hex()
        work.span_id = work.trace_id[:16]  # as random, and unlike any other of this trace
        work.drawn = True
        work.trace_state = ""
        work.sampled = layer.tracer is not None and layer.tracer.sample()
        caller = None
    else:
        work.trace_id, caller, work.sampled, work.drawn, work.trace_state = parent
        work.span_id = random.getrandbits(64).to_bytes(8).hex()
    given = headers.get(_REQUEST_ID)
    work.request_id = work.trace_id if given is None or _ID.fullmatch(given) is None else given.decode()
    return work, caller


def _exchange(layer: Layer, scope: Scope, receive: Receive, send: Send, work: Correlation) -> _Exchange:
    """One that begins. As a function, because a constructor takes longer than all that is done in it."""
    self, served = _new(_Exchange), _new(Served)
    self._layer = layer
    self._scope = scope
    self._receive = receive
    self._send = send
    self._root = scope.get("root_path", "")
    self._received = 0
    self._expired = self._late = self._disconnected = self._recorded = False
    self.release = self.span = self.timer = None
    self.nested = SERVED in scope
    self.served = scope[SERVED] = served
    served.at = time()
    served.method = scope["method"]
    served.path = scope["path"]
    served.status = served.size = 0
    served.client = layer.client(scope)
    served.correlation = work
    return self


@dataclass(slots=True, init=False, eq=False, repr=False)
class _Exchange:
    """One request under way, and its answer.

    expiries: where its time is measured, unless it has a timer. nested: whether another layer is around this one.
    """

    _disconnected: bool
    _expired: bool
    _late: bool
    _layer: Layer
    _receive: Receive
    _received: int
    _recorded: bool
    _root: str
    _scope: Scope
    _send: Send
    began: float
    cancelling: int
    expiries: Expiries
    nested: bool
    release: Callable[[bool], None] | None
    served: Served
    span: Span | None
    task: Any
    timer: asyncio.TimerHandle | None

    def end(self, failed: BaseException | None) -> None:
        """It is over."""
        if not self.served.status:  # else it was measured until the answer began
            self._out_of_time()
        if self.release is not None:
            self.release(self._late or self._expired)
        if not self._recorded:
            left = self._disconnected or isinstance(failed, asyncio.CancelledError)
            self.served.status = CUT if left else 500
            self._record(failed)

    async def answered(self, error: BaseException, seconds: float) -> bool:
        """Answer in place of the app that raised `error`; False where it must go on, to the server."""
        if self._out_of_time() and (self._taken_back() or not isinstance(error, asyncio.CancelledError)):
            await self._too_late(seconds)
            return True
        if isinstance(error, asyncio.CancelledError):
            # It may be the deadline of the layer around this one, which answers that.
            if not self.served.status and not self._disconnected and not self.nested:
                with contextlib.suppress(Exception):
                    await self._answer(problem(503, code="shutting-down", headers={"Retry-After": "1"}))
            return False
        assert isinstance(error, Exception)  # noqa: S101 - what else is caught
        answer = await self._layer.problems.answer(error, self._scope)  # logs it, too
        if self.served.status:
            return False
        await self._answer(answer)
        return True

    async def unanswered(self, seconds: float) -> None:
        """Answer in place of an app that didn't, if that is because its time was up."""
        if self._out_of_time():
            self._taken_back()
            await self._too_late(seconds)

    def _taken_back(self) -> bool:
        """Take the deadline's cancellation back; whether nobody else wants the task to end."""
        self._late, self._expired = True, False
        return bool(self.task.uncancel() <= self.cancelling)

    async def _too_late(self, seconds: float) -> None:
        await self._answer(
            problem(504, code="deadline-exceeded", detail=f"the request was not done within {seconds:g} s")
        )

    def cancel(self) -> None:
        """Its time is up."""
        self._expired = True
        self.task.cancel()

    def _out_of_time(self) -> bool:
        """Whether the deadline has ended it; it is measured no longer."""
        if self.timer is not None:
            self.timer.cancel()
        else:
            self.expiries.calls.pop(self, None)
        return self._expired

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on what the app answers, with what the layer adds."""
        kind = message["type"]
        if kind == "http.response.body":
            return self._send_body(message)
        if kind == "http.response.start":
            return self._send(self._begun(message))
        return self._send_other(message)

    def _begun(self, message: Message) -> Message:
        """How the answer begins, with the layer's own headers."""
        if not self.served.status:
            self.served.status = message["status"]
        # What is left is the response's own: a stream, or work in the background, may take its time.
        if self._out_of_time():
            self._expired = False  # the app has answered in spite of it
            self.task.uncancel()
        _deadline.set(deadline.NEVER)
        layer = self._layer
        headers = list(message.get("headers", ()))
        names, present, ours = layer.names, None, layer.all_headers
        for name, value in headers:
            if name == b"content-type":
                ours = layer.headers if value in _JSON else layer.all_headers
            if name in names:
                present = {name for name, _ in headers}
        headers.append((_REQUEST_ID, self.served.correlation.request_id.encode()))
        headers += ours if present is None else [header for header in ours if header[0] not in present]
        return {**message, "headers": headers}  # the app may use its own again

    async def _send_body(self, message: Message) -> None:
        size = len(message.get("body", b""))
        more = message.get("more_body", False)
        if more and self.release is not None:
            # A stream may last for hours, which says nothing about load.
            self.release(False)
            self.release = None
        await self._send(message)
        if not self._recorded:
            self.served.size += size
            if not more:
                self._record(None)

    async def _send_other(self, message: Message) -> None:
        await self._send(message)
        if message["type"] in _BY_THE_SERVER and not message.get("more_body", False) and not self._recorded:
            self._record(None)

    async def receive(self) -> Message:
        """Pass on what the client sends, no more of it than allowed."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        elif self._layer.body_limit is not None:
            self._received += len(message.get("body", b""))
            if self._received > self._layer.body_limit:
                raise BodyTooLargeError(self._layer.body_limit)
        return message

    async def _answer(self, response: ASGIApp) -> None:
        if not self.served.status:
            await response(self._scope, self._receive, self.send)

    def _record(self, error: BaseException | None) -> None:
        """Tell that the answer is through, or will never be."""
        self._recorded = True
        served = self.served
        served.seconds = monotonic() - self.began
        served.route = template_of(self._scope, self._root)
        self._layer.ended(served)
        if self.span is not None:
            self.span.ended(served, error)


def _asked(header: bytes, timeout: float) -> float:
    """The seconds that the caller waits, and no more than it may have."""
    asked = deadline.from_header(header.decode("latin-1"))
    return timeout if asked is None else min(asked, timeout)


def _check_length(given: bytes, limit: int) -> None:
    if given.isdigit() and int(given) > limit:
        raise BodyTooLargeError(limit)
