"""Seawall that also records a tenth of the traces, and sends them by OTLP."""

from bench.peers.requests.seawall import put_around
from bench.requests_shape import SAMPLED

NAME = "seawall (10 % traced)"
DISTRIBUTIONS = ("seawall", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
WITHOUT = {"counting": "as seawall"}


def starlette(app, place):
    return put_around(app, place, traces=True, otlp_endpoint=place.sink, trace_sample_rate=SAMPLED)


fastapi = starlette
