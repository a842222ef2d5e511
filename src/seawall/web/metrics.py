"""`/metrics`, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Expose = Callable[[str], tuple[bytes, str]]
"""Takes an `Accept` header; gives all metrics and their content type. It may read files, so it runs in a thread."""


def metrics_route(path: str, expose: Expose, before: Callable[[], Awaitable[object]]) -> Route:
    """Answers with the metrics of all processes. before: awaited first, such as a look at the health of all parts."""

    async def metrics(request: Request) -> Response:
        await before()
        body, media_type = await asyncio.to_thread(expose, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type, "cache-control": "no-store"})

    return Route(path, metrics, methods=["GET"])
