"""structlog with orjson and its bytes logger, its fastest documented form: a JSON line for each request."""

import logging
import time

import orjson
import structlog
from asgi_correlation_id import correlation_id

from bench.requests_shape import Layered

NAME = "structlog"
DISTRIBUTIONS = ("structlog", "orjson")
NOTES = {"starlette": "a plain ASGI middleware that logs one line; BytesLogger, orjson, cached"}


class AccessLog:
    def __init__(self, app):
        self.app = app
        self.log = structlog.get_logger("access")

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            client = scope.get("client")
            self.log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round((time.perf_counter() - began) * 1000, 2),
                client=client[0] if client else None,
                request_id=correlation_id.get(),
            )


def starlette(app, place):
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(file=place.log.open("wb")),
        cache_logger_on_first_use=True,
    )
    app.add_middleware(AccessLog)
    return Layered(app=app, logs=True)
