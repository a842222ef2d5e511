"""prometheus-fastapi-instrumentator: metrics by route, as its README begins."""

from prometheus_fastapi_instrumentator import Instrumentator

from bench.requests_shape import Layered

NAME = "prometheus-fastapi-instrumentator"
DISTRIBUTIONS = ("prometheus-fastapi-instrumentator", "prometheus-client")


def starlette(app, place):
    Instrumentator().instrument(app).expose(app)
    return Layered(app=app, metrics=True)
