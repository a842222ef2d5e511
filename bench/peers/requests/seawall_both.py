"""Seawall that also records a tenth of the traces and reports errors to Sentry: all that the seven libraries do."""

from bench.peers.requests.seawall import put_around
from bench.requests_shape import SAMPLED

NAME = "seawall (10 % traced, Sentry)"
DISTRIBUTIONS = ("seawall", "sentry-sdk", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
WITHOUT = {"counting": "as seawall"}


def starlette(app, place):
    reported = {"errors": True, "sentry_dsn": place.dsn}
    return put_around(app, place, traces=True, otlp_endpoint=place.sink, trace_sample_rate=SAMPLED, **reported)


fastapi = starlette
