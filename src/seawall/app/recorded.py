"""Requests and jobs that are recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from seawall.core import Events
from seawall.core.correlation import Correlation
from seawall.telemetry import redaction
from seawall.telemetry.requests import METHODS
from seawall.telemetry.tracing import Recording, Span, places, type_name

if TYPE_CHECKING:
    from seawall.jobs import JobEnded
    from seawall.telemetry.opentelemetry import OpenTelemetrySpans
    from seawall.telemetry.sentry import Sentry
    from seawall.web.layer import Served

_logger = logging.getLogger("seawall")
MOST_SPANS = 1_000
"""Spans of one request or job that are told: it may have left something running that never ends."""
MOST_CHILDREN = 200
"""Spans of one request or job that Sentry is told."""
_SERVER_ERROR = 500
_UNMATCHED = "(unmatched)"


class RecordedWork(Recording):
    """Something that is recorded, by OpenTelemetry, by Sentry, or by both. parent: the span that asked for it."""

    __slots__ = ("_children", "_detach", "_sentry", "_spans", "_told", "parent")

    def __init__(
        self,
        work: Correlation,
        parent: str | None,
        events: Events,
        spans: OpenTelemetrySpans | None,
        sentry: Sentry | None,
    ) -> None:
        super().__init__(work, events)
        self.parent = parent
        self._told = 0
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

    def close(self, made: Callable[[], Span]) -> None:
        """It has ended, as the span that is `made`. What it does from here on is still told to OpenTelemetry."""
        sentry, self._sentry = self._sentry, None
        try:
            if self._detach is not None:
                self._detach()
            span = made()
            if self._spans is not None:
                self._spans.ended(span)
            if sentry is not None:
                sentry.transaction(span, self._children)
        except Exception:  # the answer is through; a span is not worth its connection
            _logger.exception("the span of a request or a job can't be told")
        self._children = []


class RecordedRequest(RecordedWork):
    """A request that is recorded."""

    __slots__ = ("_scheme",)

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        work: Correlation,
        parent: str | None,
        events: Events,
        spans: OpenTelemetrySpans | None,
        sentry: Sentry | None,
    ) -> None:
        super().__init__(work, parent, events, spans, sentry)
        self._scheme: str = scope.get("scheme", "http")

    def ended(self, served: Served, error: BaseException | None) -> None:
        """The request was served."""
        self.close(lambda: self._span(served, error))

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
            parent_id=self.parent,
            far=True,
            trace_state=self.work.trace_state,
            started=served.at,
            seconds=served.seconds,
            attributes=attributes,
            marks=tuple(self.marks),
            error=cause if failed else None,
            failed=failed,
        )


class RecordedJob(RecordedWork):
    """A job that is recorded."""

    __slots__ = ()

    def ended(self, ended: JobEnded) -> None:
        """A run of it is over."""
        self.close(lambda: self._span(ended))

    def _span(self, ended: JobEnded) -> Span:
        attributes = {
            "messaging.system": "celery",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.message.id": ended.job_id,
            "seawall.job.name": ended.job,
            "seawall.job.state": ended.state.value,
            "seawall.job.attempt": ended.attempt,
            "seawall.job.waited": ended.waited,
            "seawall.request_id": self.work.request_id,
        }
        failed = ended.state in {"failed", "stopped"}
        return Span(
            name=f"job {ended.job}",
            kind="consumer",
            trace_id=self.work.trace_id,
            span_id=self.work.span_id,
            parent_id=self.parent,
            far=True,
            trace_state=self.work.trace_state,
            started=ended.started,
            seconds=ended.seconds,
            attributes={name: value for name, value in attributes.items() if value is not None},
            marks=tuple(self.marks),
            error=None if ended.error is None else type_name(ended.error),
            failed=failed,
            stack=() if ended.error is None else places(ended.error.__traceback__),
        )
