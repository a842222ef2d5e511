"""asgi-correlation-id: a request id, taken over or made."""

from asgi_correlation_id import CorrelationIdMiddleware

from bench.requests_shape import Layered

NAME = "asgi-correlation-id"
DISTRIBUTIONS = ("asgi-correlation-id",)


def starlette(app, place):
    app.add_middleware(CorrelationIdMiddleware)
    return Layered(app=app, headers=("x-request-id",))
