"""slowapi with a default limit for each client, in memory, by its ASGI middleware."""

from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIASGIMiddleware
from slowapi.util import get_remote_address

from bench.requests_shape import LIMIT, Layered

NAME = "slowapi"
DISTRIBUTIONS = ("slowapi", "limits")
NOTES = {"starlette": "SlowAPIASGIMiddleware"}


def starlette(app, place):
    app.state.limiter = Limiter(key_func=get_remote_address, default_limits=[LIMIT])
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
    app.add_middleware(SlowAPIASGIMiddleware)
    return Layered(app=app)
