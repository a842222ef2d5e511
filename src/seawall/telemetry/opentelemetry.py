"""Recorded spans, handed to OpenTelemetry when they have ended.

Seawall's own ids are the spans' ids, so nothing of OpenTelemetry is on a request's way, and what isn't recorded never
gets here. The SDK batches and exports.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from seawall.core import MissingExtraError, OptionError, correlation
from seawall.core.correlation import Correlation
from seawall.telemetry import redaction
from seawall.telemetry.tracing import Span

try:
    from opentelemetry import context as contexts
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Tracer, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import (
        ALWAYS_ON,
        Decision,
        Sampler,
        SamplingResult,
        TraceIdRatioBased,
    )
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
        get_current_span,
        set_span_in_context,
    )
    from opentelemetry.trace.span import TraceState
except ImportError as error:
    raise MissingExtraError("tracing", error.name or "opentelemetry", "telemetry") from error

_KINDS = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
    "consumer": SpanKind.CONSUMER,
}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_FAILED = Status(StatusCode.ERROR)
MOST_WAITING = 2_048
"""Spans that wait to be exported; what is beyond that is dropped."""
_EVERY = 2.0
_PATIENCE = 5.0


class OpenTelemetrySpans:
    """Hands spans to a `TracerProvider` of OpenTelemetry's SDK.

    Its processors and exporters are the provider's; its sampler isn't asked, because whether a request is recorded has
    been decided before it began. Raises `OptionError` for a provider that isn't the SDK's.
    """

    def __init__(self, provider: TracerProvider) -> None:
        tracer = provider.get_tracer("seawall")
        if not isinstance(tracer, Tracer):
            raise OptionError("tracing", "provider", provider, "a TracerProvider of opentelemetry.sdk.trace, enabled")
        self.provider = provider
        self._ids = _Preset()
        tracer.id_generator = self._ids
        tracer.sampler = ALWAYS_ON
        self._tracer = tracer
        self._exporter: OTLPSpanExporter | None = None

    @classmethod
    def exporting(cls, endpoint: str, *, service: str, rate: float) -> OpenTelemetrySpans:
        """To a provider of our own, which sends batches to `endpoint` by OTLP over HTTP from a thread.

        rate: the share of traces that the service's own spans begin outside of requests and are recorded. Headers,
        certificates and compression are read by the exporter, from `OTEL_EXPORTER_OTLP_HEADERS` and so on.
        """
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_PATIENCE)
        # Nobody may hold up the process's end but `close`.
        provider = TracerProvider(
            sampler=_LikeTheRequest(rate), resource=Resource.create({"service.name": service}), shutdown_on_exit=False
        )
        provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING, schedule_delay_millis=_EVERY * 1000)
        )
        found = cls(provider)
        found._exporter = exporter
        return found

    def ended(self, span: Span) -> None:
        """Hand over a span. Never waits for the exporter."""
        parent = contexts.Context()
        trace_id = int(span.trace_id, 16)
        if span.parent_id is not None:
            at = _span_context(trace_id, int(span.parent_id, 16), span.trace_state, far=span.far)
            parent = set_span_in_context(NonRecordingSpan(at), parent)
        self._ids.now = (trace_id, int(span.span_id, 16))
        made = self._tracer.start_span(
            span.name,
            parent,
            _KINDS[span.kind],
            _plain(span.attributes),
            start_time=_nanoseconds(span.started),
            record_exception=False,
            set_status_on_exception=False,
        )
        end = _nanoseconds(span.started + span.seconds)
        for mark in span.marks:
            made.add_event(mark.name, _plain(mark.attributes), _nanoseconds(mark.at))
        if span.error is not None:
            made.set_attribute("error.type", span.error)
        if span.stack and span.error is not None:
            told = {"exception.type": span.error, "exception.stacktrace": "\n".join(span.stack)}
            made.add_event("exception", told, end)
        if span.failed:
            made.set_status(_FAILED)
        made.end(end)

    def attach(self, work: Correlation) -> Callable[[], None]:
        """Have spans that the app itself begins here be the children of `work`; returns what ends that."""
        flags = TraceFlags(_SAMPLED + 2 * work.drawn)
        at = _span_context(int(work.trace_id, 16), int(work.span_id, 16), work.trace_state, far=False, flags=flags)
        ours = set_span_in_context(NonRecordingSpan(at))
        token = contexts.attach(ours)

        def detach() -> None:
            # Not from within a span of the app's, nor from another context, where it would be an error.
            if contexts.get_current() is ours:
                try:
                    token.var.reset(token)
                except ValueError:
                    return

        return detach

    def close(self, within: float) -> None:
        """Export what waits, for `within` seconds at most. A provider that was handed in is flushed, not closed."""
        own = self._exporter is not None
        ending = threading.Thread(
            target=self.provider.shutdown if own else self.provider.force_flush, name="seawall-spans", daemon=True
        )
        ending.start()
        ending.join(within)
        if self._exporter is not None and ending.is_alive():
            give_up: Callable[[], Any] = self._exporter.shutdown
            give_up()


class _Preset(IdGenerator):
    """Gives the ids that were set, in the thread that set them."""

    def __init__(self) -> None:
        self._here = threading.local()

    @property
    def now(self) -> tuple[int, int]:
        """The ids of the trace and the span that is about to be made."""
        ids: tuple[int, int] = self._here.ids
        return ids

    @now.setter
    def now(self, ids: tuple[int, int]) -> None:
        self._here.ids = ids

    def generate_trace_id(self) -> int:
        return self.now[0]

    def generate_span_id(self) -> int:
        return self.now[1]


class _LikeTheRequest(Sampler):
    """For spans of the app's own: recorded where the request is; outside of requests, a share of them."""

    def __init__(self, rate: float) -> None:
        self._elsewhere = TraceIdRatioBased(rate)

    def should_sample(
        self, parent_context: contexts.Context | None, trace_id: int, name: str, *others: Any, **more: Any
    ) -> SamplingResult:
        parent = get_current_span(parent_context).get_span_context()
        if parent.is_valid:
            recorded = parent.trace_flags.sampled
        elif correlation.current.get() is not None:
            recorded = False
        else:
            return self._elsewhere.should_sample(parent_context, trace_id, name, *others, **more)
        decision = Decision.RECORD_AND_SAMPLE if recorded else Decision.DROP
        attributes = more.get("attributes", others[1] if len(others) > 1 else None)
        return SamplingResult(decision, attributes if recorded else None, parent.trace_state)

    def get_description(self) -> str:
        return "as the request"


def _span_context(trace_id: int, span_id: int, state: str, *, far: bool, flags: TraceFlags = _SAMPLED) -> SpanContext:
    return SpanContext(trace_id, span_id, far, flags, TraceState.from_header([state]) if state else None)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as OpenTelemetry takes them."""
    return {
        name: value if isinstance(value, (str, bool, int, float)) else redaction.text(str(value))
        for name, value in attributes.items()
        if value is not None
    }
