"""starlette-exporter: metrics by route."""

from starlette_exporter import PrometheusMiddleware, handle_metrics

from bench.requests_shape import Layered

NAME = "starlette-exporter"
DISTRIBUTIONS = ("starlette-exporter", "prometheus-client")


def starlette(app, place):
    app.add_middleware(PrometheusMiddleware)
    app.add_route("/metrics", handle_metrics)
    return Layered(app=app, metrics=True)
