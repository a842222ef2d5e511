"""OpenTelemetry's own instrumentation: a tenth of the traces, by OTLP, without a span for each message."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from bench.requests_shape import SAMPLED, Layered

NAME = "OpenTelemetry (10 %)"
DISTRIBUTIONS = ("opentelemetry-sdk", "opentelemetry-instrumentation-asgi", "opentelemetry-instrumentation-fastapi")
NOTES = {"starlette": "no spans for receive and send"}
_NO_NOISE = ["receive", "send"]


def provider(place):
    made = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(SAMPLED)), resource=Resource.create({"service.name": "bench"})
    )
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{place.sink}/v1/traces")))
    return made


def starlette(app, place):
    tracers = provider(place)
    app.add_middleware(OpenTelemetryMiddleware, tracer_provider=tracers, exclude_spans=_NO_NOISE)
    return Layered(app=app, traces=True, flush=tracers.force_flush)


def instrumented(app, place):
    tracers = provider(place)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=tracers, exclude_spans=_NO_NOISE)
    return Layered(app=app, traces=True, flush=tracers.force_flush)
