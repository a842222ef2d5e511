"""What parts report as spans: which request is recorded, and who is told of it. See `seawall.telemetry.tracing`."""

from __future__ import annotations

import dataclasses
import logging
import random
import re
import threading
from asyncio import CancelledError
from collections.abc import Callable, MutableMapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from seawall.core import SYSTEM_CLOCK, Clock, Event, Events, correlation
from seawall.core.correlation import Correlation
from seawall.resilience.events import PolicyEvent, RequestSent
from seawall.settings import Settings
from seawall.telemetry import redaction
from seawall.telemetry.requests import METHODS
from seawall.telemetry.tracing import Recording, Span, SpanEnded, new_span_id, recording, type_name
from seawall.web.disclosure import loggable
from seawall.web.events import ErrorAnswered

if TYPE_CHECKING:
    from seawall.cache import CacheLoaded
    from seawall.database import StatementRan
    from seawall.telemetry.opentelemetry import OpenTelemetrySpans
    from seawall.telemetry.sentry import Sentry
    from seawall.web.layer import Served

_logger = logging.getLogger("seawall")
CLOSING = 3.0
"""Seconds that spans and errors have to be sent in when the service stops."""
MOST_SPANS = 1_000
"""Spans of one request that are told: it may have left something running that never ends."""
MOST_CHILDREN = 200
"""Spans of one request that Sentry is told."""
_SERVER_ERROR, _CLIENT_ERROR = 500, 400
_UNMATCHED = "(unmatched)"
_CANCELLED = type_name(CancelledError)
_TABLE = re.compile(
    r"""\b(?:FROM|INTO|UPDATE|TABLE)\s+(?:ONLY\s+|IF\s+(?:NOT\s+)?EXISTS\s+)?([\w.\"]+)""", re.IGNORECASE
)


class Tracing:
    """Records the traces of one service, and reports its errors; use it with `with` while the service runs.

    Spans go to OpenTelemetry where the settings have an endpoint or a `provider` is given (the app's own, of
    OpenTelemetry's SDK), and to Sentry where they have a DSN. What their caller records is recorded; of the rest the
    share that the settings say. A request that isn't recorded costs that decision.
    """

    def __init__(
        self, service: str, settings: Settings, events: Events, *, provider: Any = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._service = service
        self._settings = settings
        self._events = events
        self._provider = provider
        self._clock = clock
        on = settings.enable_tracing
        exports = on and (provider is not None or settings.traces_endpoint is not None)
        self._exported = settings.trace_sample_rate if exports else 0.0
        self._reported = settings.sentry_traces_sample_rate if on and settings.sentry_dsn is not None else 0.0
        self._rate = max(self._exported, self._reported)
        self.records = exports or self._reported > 0
        """Whether there is anybody to be told of spans."""
        self._running = False
        self._unsubscribe: Callable[[], None] | None = None
        self._spans: dict[type[Event], Callable[[Any, Correlation, float], Span]] = {
            SpanEnded: _of_block,
            RequestSent: _of_request,
        }
        self._marks: tuple[type[Event], ...] = (PolicyEvent,)

    # Who is told.

    @cached_property
    def spans(self) -> OpenTelemetrySpans | None:
        """OpenTelemetry; None where it is told nothing. Its `provider` is for spans that the app makes itself."""
        settings = self._settings
        if not settings.enable_tracing or (self._provider is None and settings.traces_endpoint is None):
            return None
        from seawall.telemetry.opentelemetry import OpenTelemetrySpans  # noqa: PLC0415 - the telemetry extra

        if self._provider is not None:
            return OpenTelemetrySpans(self._provider)
        endpoint = settings.traces_endpoint or ""
        return OpenTelemetrySpans.exporting(endpoint, service=self._service, rate=settings.trace_sample_rate)

    @cached_property
    def sentry(self) -> Sentry | None:
        """Sentry; None without a DSN."""
        settings = self._settings
        if settings.sentry_dsn is None:
            return None
        from seawall.telemetry.sentry import Sentry  # noqa: PLC0415 - the telemetry extra

        environment = settings.sentry_environment or settings.environment
        return Sentry(settings.sentry_dsn, environment=environment, release=settings.sentry_release, clock=self._clock)

    def __enter__(self) -> Tracing:
        sentry, spans = self.sentry, self.spans
        if sentry is not None:
            sentry.open()
        if spans is not None or sentry is not None:
            self._unsubscribe = self._events.subscribe(self._heard)
        self._running = True
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        if self._unsubscribe is not None:
            self._unsubscribe()
        closing = [
            threading.Thread(target=one.close, args=(CLOSING,), name="seawall-closing", daemon=True)
            for one in (self.spans, self.sentry)
            if one is not None
        ]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(CLOSING + 1.0)
        # Entered again, they are made anew.
        self.__dict__.pop("spans", None)
        self.__dict__.pop("sentry", None)

    # What the middleware asks and tells.

    def sample(self) -> bool:
        """Whether a trace that begins here is recorded."""
        return self._running and random.random() < self._rate

    def began(self, scope: MutableMapping[str, Any], work: Correlation, parent: str | None) -> RecordedRequest:
        """A request of a recorded trace has come."""
        # Each destination has its share of the traces, and always all of a trace.
        chance = int(work.trace_id[-8:], 16) / 2**32 * (self._rate if parent is None else 1.0)
        spans = self.spans if self._running and (parent is not None or chance < self._exported) else None
        sentry = self.sentry if self._running and chance < self._reported else None
        request = RecordedRequest(scope, work, parent, self._events, spans, sentry)
        recording.set(request)
        return request

    # What the parts tell.

    def hear_database(self) -> None:
        """Have statements be spans."""
        from seawall.database import (  # noqa: PLC0415 - the database extra
            RepeatedStatement,
            SlowStatement,
            StatementRan,
            StatementRerun,
        )

        self._spans[StatementRan] = _of_statement
        self._marks += (RepeatedStatement, SlowStatement, StatementRerun)

    def hear_cache(self) -> None:
        """Have the cache's loads be spans."""
        from seawall.cache import CacheLoaded, CacheLoadFailed, CacheRefused  # noqa: PLC0415 - the cache extra

        self._spans[CacheLoaded] = _of_load
        self._marks += (CacheLoadFailed, CacheRefused)

    def _heard(self, event: Event) -> None:
        kind = type(event)
        found = recording.get()
        work = correlation.current.get()
        if isinstance(event, ErrorAnswered):
            self._answered(event, work)
        if not isinstance(found, RecordedRequest) or work is None or not found.covers(work):
            return
        if isinstance(event, ErrorAnswered):
            found.error = event.code if event.error is None else type_name(event.error)
        elif kind in self._spans:
            found.contains(self._spans[kind](event, work, self._clock.now().timestamp()))
        elif isinstance(event, self._marks):
            found.mark(kind.__name__, _facts(event))

    def _answered(self, event: ErrorAnswered, work: Correlation | None) -> None:
        sentry = self.sentry
        if sentry is not None and event.error is not None:
            sentry.failed(
                loggable(event.error),
                work=work,
                severity=event.severity,
                route=event.route,
                error_id=event.error_id,
                code=event.code,
                category=event.category,
            )


class RecordedRequest(Recording):
    """A request that is recorded, by OpenTelemetry, by Sentry, or by both."""

    __slots__ = ("_children", "_detach", "_parent", "_scheme", "_sentry", "_spans", "_told")

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        work: Correlation,
        parent: str | None,
        events: Events,
        spans: OpenTelemetrySpans | None,
        sentry: Sentry | None,
    ) -> None:
        super().__init__(work, events)
        self._scheme: str = scope.get("scheme", "http")
        self._told = 0
        self._parent = parent
        self._spans = spans
        self._sentry = sentry
        self._children: list[Span] = []
        self._detach = None if spans is None else spans.attach(work)

    def contains(self, span: Span) -> None:
        """A part of it has ended."""
        self._told += 1
        if self._spans is not None and self._told <= MOST_SPANS:
            self._spans.ended(span)
        if self._sentry is not None and len(self._children) < MOST_CHILDREN:
            self._children.append(span)

    def ended(self, served: Served, error: BaseException | None) -> None:
        """The request was served. What it does from here on is still told to OpenTelemetry."""
        sentry, self._sentry = self._sentry, None
        try:
            if self._detach is not None:
                self._detach()
            span = self._span(served, error)
            if self._spans is not None:
                self._spans.ended(span)
            if sentry is not None:
                sentry.transaction(span, self._children)
        except Exception:  # the answer is through; a span is not worth its connection
            _logger.exception("a request's span can't be told")
        self._children = []

    def _span(self, served: Served, error: BaseException | None) -> Span:
        method = served.method if served.method in METHODS else "HTTP"
        matched = served.route != _UNMATCHED
        failed = served.status >= _SERVER_ERROR
        attributes: dict[str, Any] = {
            "http.request.method": served.method if method == served.method else "_OTHER",
            "url.path": redaction.text(served.path),
            "url.scheme": self._scheme,
            "http.response.status_code": served.status,
            "client.address": served.client,
        }
        if matched:
            attributes["http.route"] = served.route
        if self.work.request_id != self.work.trace_id:
            attributes["seawall.request_id"] = self.work.request_id
        cause = self.error
        if failed and cause is None:
            cause = str(served.status) if error is None else type_name(error)
        return Span(
            name=f"{method} {served.route}" if matched else method,
            kind="server",
            trace_id=self.work.trace_id,
            span_id=self.work.span_id,
            parent_id=self._parent,
            far=True,
            trace_state=self.work.trace_state,
            started=served.at,
            seconds=served.seconds,
            attributes=attributes,
            marks=tuple(self.marks),
            error=cause if failed else None,
            failed=failed,
        )


def _child(work: Correlation, name: str, *, started: float, span_id: str | None = None, **options: Any) -> Span:
    return Span(
        name=name,
        trace_id=work.trace_id,
        span_id=span_id or new_span_id(),
        parent_id=options.pop("parent_id", work.span_id),
        trace_state=work.trace_state,
        started=started,
        **options,
    )


def _of_block(event: SpanEnded, work: Correlation, now: float) -> Span:
    return _child(
        work,
        event.name,
        kind="internal",
        started=event.started,
        seconds=event.seconds,
        span_id=event.span_id,
        parent_id=event.parent_id,
        attributes=redaction.fields(event.attributes),
        error=event.error,
        failed=event.error is not None and event.error != _CANCELLED,
        stack=event.stack,
    )


def _of_request(event: RequestSent, work: Correlation, now: float) -> Span:
    error = event.error
    if error is None and event.status is not None and event.status >= _CLIENT_ERROR:
        error = str(event.status)
    attributes = {
        "http.request.method": event.method,
        "server.address": event.host,
        "server.port": event.port,
        "http.response.status_code": event.status,
        "http.request.resend_count": event.attempt - 1 or None,
    }
    return _child(
        work,
        event.method,
        kind="client",
        started=now - event.seconds,
        seconds=event.seconds,
        span_id=event.span_id,
        attributes={name: value for name, value in attributes.items() if value is not None},
        error=error,
        failed=error is not None and error != CancelledError.__name__,
    )


def _of_statement(event: StatementRan, work: Correlation, now: float) -> Span:
    host, _, port = event.node.rpartition(":")
    summary = summarized(event.statement)
    attributes: dict[str, Any] = {
        "db.system.name": "postgresql" if host else "sqlite",
        "db.namespace": event.database,
        "db.query.summary": summary,
        "db.query.text": event.statement,
    }
    if host:
        attributes |= {"server.address": host.strip("[]"), "server.port": int(port) if port.isdecimal() else None}
    if event.rows >= 0:
        attributes["db.response.returned_rows"] = event.rows
    if event.sqlstate is not None:
        attributes["db.response.status_code"] = event.sqlstate
    error = None if event.error is None else type_name(event.error)
    return _child(
        work,
        summary,
        kind="client",
        started=now - event.seconds,
        seconds=event.seconds,
        attributes=attributes,
        error=error,
        failed=error is not None and error != _CANCELLED,
    )


def _of_load(event: CacheLoaded, work: Correlation, now: float) -> Span:
    # Not the key: it may have a person's name in it, or a session's id.
    attributes = {"seawall.cache.name": event.cache, "seawall.cache.category": event.category}
    name, started = f"cache load {event.category}", now - event.seconds
    return _child(work, name, kind="internal", started=started, seconds=event.seconds, attributes=attributes)


@lru_cache(1_024)
def summarized(statement: str) -> str:
    """What a statement does, and to which table: `SELECT campaigns`."""
    verb = statement.split(None, 1)[0].upper() if statement.strip() else "SQL"
    table = _TABLE.search(statement)
    return verb if table is None else f"{verb} {table[1].replace(chr(34), '')}"


def _facts(event: Event) -> dict[str, Any]:
    """An event's fields that are plain values; of errors the type; never a cache's key."""
    found: dict[str, Any] = {}
    for one in dataclasses.fields(event):
        value = getattr(event, one.name)
        if isinstance(value, BaseException):
            found[one.name] = type_name(value)
        elif isinstance(value, (str, int, float)) and one.name != "key":
            found[one.name] = value
    return redaction.fields(found)
