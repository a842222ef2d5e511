"""What parts report as spans: which request is recorded, and who is told of it. See `seawall.telemetry.tracing`."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, MutableMapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seawall.app.recorded import RecordedJob, RecordedRequest, RecordedWork
from seawall.app.spans import facts, of_block, of_load, of_request, of_statement
from seawall.core import SYSTEM_CLOCK, Clock, Event, Events, correlation
from seawall.core.correlation import Correlation
from seawall.resilience.events import PolicyEvent, RequestSent
from seawall.settings import Settings
from seawall.telemetry.tracing import Span, SpanEnded, recording, type_name
from seawall.web.disclosure import loggable
from seawall.web.events import ErrorAnswered

if TYPE_CHECKING:
    from seawall.telemetry.opentelemetry import OpenTelemetrySpans
    from seawall.telemetry.sentry import Sentry

_logger = logging.getLogger("seawall")
CLOSING = 3.0
"""Seconds that spans and errors have to be sent in when the service stops."""


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
            SpanEnded: of_block,
            RequestSent: of_request,
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
        request = RecordedRequest(scope, work, parent, self._events, *self._told_of(work, parent))
        recording.set(request)
        return request

    def job_began(self, work: Correlation, parent: str | None) -> RecordedJob:
        """A job of a recorded trace begins."""
        job = RecordedJob(work, parent, self._events, *self._told_of(work, parent))
        recording.set(job)
        return job

    def _told_of(self, work: Correlation, parent: str | None) -> tuple[OpenTelemetrySpans | None, Sentry | None]:
        """Each destination has its share of the traces, and always all of a trace."""
        if not self._running:
            return None, None
        chance = int(work.trace_id[-8:], 16) / 2**32 * (self._rate if parent is None else 1.0)
        spans = self.spans if parent is not None or chance < self._exported else None
        return spans, self.sentry if chance < self._reported else None

    # What the parts tell.

    def hear_database(self) -> None:
        """Have statements be spans."""
        from seawall.database import (  # noqa: PLC0415 - the database extra
            RepeatedStatement,
            SlowStatement,
            StatementRan,
            StatementRerun,
        )

        self._spans[StatementRan] = of_statement
        self._marks += (RepeatedStatement, SlowStatement, StatementRerun)

    def hear_cache(self) -> None:
        """Have the cache's loads be spans."""
        from seawall.cache import CacheLoaded, CacheLoadFailed, CacheRefused  # noqa: PLC0415 - the cache extra

        self._spans[CacheLoaded] = of_load
        self._marks += (CacheLoadFailed, CacheRefused)

    def hear_jobs(self) -> None:
        """Have jobs that are enqueued be marks, and those that fail be reported."""
        from seawall.jobs import JobEnded, JobEnqueued, JobState  # noqa: PLC0415 - only where there are jobs

        self._marks += (JobEnqueued,)

        def ended(event: JobEnded) -> None:
            sentry, error = self.sentry, event.error
            if sentry is None or error is None or event.state is not JobState.FAILED:
                return
            sentry.failed(
                loggable(error),
                work=correlation.current.get(),
                severity=getattr(error, "severity", "high"),
                route=event.job,
                code=getattr(error, "code", "unexpected"),
            )

        self._events.subscribe(ended, to=JobEnded)

    def _heard(self, event: Event) -> None:
        kind = type(event)
        found = recording.get()
        work = correlation.current.get()
        if isinstance(event, ErrorAnswered):
            self._answered(event, work)
        if not isinstance(found, RecordedWork) or work is None or not found.covers(work):
            return
        if isinstance(event, ErrorAnswered):
            found.error = event.code if event.error is None else type_name(event.error)
        elif kind in self._spans:
            found.contains(self._spans[kind](event, work, self._clock.now().timestamp()))
        elif isinstance(event, self._marks):
            found.mark(kind.__name__, facts(event))

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
