"""What HTTP adapters share: which responses are failures, and which requests may be repeated."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from time import perf_counter
from typing import Any

from seawall.core import Clock, Events, SeawallError, correlation, deadline
from seawall.core.errors import Severity
from seawall.resilience.backoff import retry_after
from seawall.resilience.events import RequestSent

FAILED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that say nothing about the request, only about the moment."""

_PARENT, _STATE = "traceparent", "tracestate"
_IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class ResponseError(SeawallError):
    """A response whose status is a failure, as policies see it. The adapter's caller gets the response itself."""

    code = "response"
    category = "external"
    severity = Severity.MEDIUM
    retryable = False

    def __init__(self, response: Any, status: int, clock: Clock) -> None:
        super().__init__(response, status, clock)
        self.response = response
        self.status_code = status
        self.retry_after = retry_after(response, clock)

    def __str__(self) -> str:
        return f"the answer had status {self.status_code}"


def failed_by(failed: Collection[int] | Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A function that tells whether a response is a failure: that function, or one of the statuses."""
    if callable(failed):
        return failed
    statuses = frozenset(failed)
    return lambda response: response.status_code in statuses


def idempotent(request: Any) -> bool:
    """Whether a request may be repeated: by its method (RFC 9110, 9.2.2), or because it has an `Idempotency-Key`.

    For `Retry(idempotent=idempotent)` in a pipeline that an adapter runs.
    """
    return request.method.upper() in _IDEMPOTENT_METHODS or "idempotency-key" in request.headers


def write_deadline(headers: Any, clock: Clock) -> float | None:
    """Put the remaining time into an outgoing request's headers; returns it in seconds, None without a deadline."""
    value = deadline.to_header(clock=clock)
    if value is not None:
        headers[deadline.HEADER] = value
    return deadline.remaining(clock=clock)


class Trace:
    """What one outgoing request, with all its attempts, says of the trace it belongs to.

    Every attempt is a span of its own where the work at hand is recorded: its id goes out as `traceparent`, and
    `RequestSent` tells how it ended. Other work sends its own span's id. What the caller has set stays.

        trace = Trace(events, "GET", headers)
        with trace.attempt(host, port) as attempt:
            attempt.answer = send()
        trace.done()
    """

    __slots__ = ("_attempts", "_events", "_headers", "_method", "_set", "_work")

    def __init__(self, events: Events | None, method: str, headers: Any) -> None:
        self._events = events
        self._method = method
        self._headers = headers
        self._work = correlation.current.get()
        self._attempts = 0
        self._set: tuple[str, ...] = ()
        if self._work is not None and _PARENT not in headers:
            self._set = (_PARENT, _STATE) if self._work.trace_state and _STATE not in headers else (_PARENT,)

    def attempt(self, host: str, port: int | None) -> _Attempt:
        """The next attempt, to be sent in a `with` block."""
        self._attempts += 1
        work, events = self._work, self._events
        if work is None:
            return _Attempt(None, "", "", None, "", 0)
        told = events if work.sampled and events is not None and events.listeners else None
        # Where the caller has said who the parent is, our span is a sibling of what the receiver records.
        span_id = work.span_id if told is None else f"{random.getrandbits(64) or 1:016x}"
        for name in self._set:
            value = work.traceparent(span_id) if name == _PARENT else work.trace_state
            self._headers[name] = value
        return _Attempt(told, self._method, host, port, span_id, self._attempts)

    def done(self) -> None:
        """Leave the headers as they were: a redirect, or another use of the request, is another span."""
        for name in self._set:
            self._headers.pop(name, None)


class _Attempt:
    """One attempt of a request under way."""

    __slots__ = ("_attempt", "_began", "_events", "_host", "_method", "_port", "_span_id", "answer")

    def __init__(
        self, events: Events | None, method: str, host: str, port: int | None, span_id: str, attempt: int
    ) -> None:
        self._events = events
        self._method = method
        self._host = host
        self._port = port
        self._span_id = span_id
        self._attempt = attempt
        self._began = perf_counter()
        self.answer: Any = None

    def __enter__(self) -> _Attempt:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._events is not None:
            event = RequestSent(
                method=self._method,
                host=self._host,
                port=self._port,
                status=None if self.answer is None else self.answer.status_code,
                error=None if kind is None else kind.__name__,
                seconds=perf_counter() - self._began,
                span_id=self._span_id,
                attempt=self._attempt,
            )
            self._events.emit(event)
