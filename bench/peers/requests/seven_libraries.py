"""Seven libraries that a service takes together, the outermost last."""

from bench.peers.requests import (
    asgi_correlation_id,
    instrumentator,
    opentelemetry,
    secure,
    sentry,
    slowapi,
    structlog,
)
from bench.requests_shape import Layered

NAME = "seven libraries"
TAKEN = (sentry, slowapi, secure, structlog, instrumentator, opentelemetry, asgi_correlation_id)
DISTRIBUTIONS = tuple(dict.fromkeys(name for library in TAKEN for name in library.DISTRIBUTIONS))
NOTES = dict.fromkeys(
    ("starlette", "fastapi", "errors", "memory"),
    "asgi-correlation-id, structlog, prometheus-fastapi-instrumentator, OpenTelemetry (10 %), sentry-sdk (errors), "
    "secure, slowapi",
)

first = sentry.first


def starlette(app, place):
    return together(app, [library.starlette(app, place) for library in TAKEN])


def fastapi(app, place):
    steps = [opentelemetry.instrumented if one is opentelemetry else one.starlette for one in TAKEN]
    return together(app, [step(app, place) for step in steps])


def together(app, layers):
    return Layered(
        app=app,
        headers=tuple(header for layer in layers for header in layer.headers),
        logs=any(layer.logs for layer in layers),
        metrics=any(layer.metrics for layer in layers),
        traces=any(layer.traces for layer in layers),
        errors=any(layer.errors for layer in layers),
        flush=lambda: [layer.flush() for layer in layers],
    )
