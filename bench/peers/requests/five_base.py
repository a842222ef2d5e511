"""Five of Starlette's `BaseHTTPMiddleware` that do nothing."""

from starlette.middleware.base import BaseHTTPMiddleware

from bench.requests_shape import Layered

NAME = "five BaseHTTPMiddlewares"
DISTRIBUTIONS = ("starlette",)
REFERENCE = True
WITHOUT = {"fastapi": "measured around Starlette"}


class Nothing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


def starlette(app, place):
    for _ in range(5):
        app.add_middleware(Nothing)
    return Layered(app=app)
