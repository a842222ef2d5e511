"""Liveness and readiness."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seawall.core import Health, Status

Checks = Callable[[], Awaitable[Mapping[str, Health]]]


def liveness(service: str) -> Callable[[Request], Awaitable[Response]]:
    """`/health`: this process answers. Asks nothing else, so that a dependency's death restarts nobody."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": Status.HEALTHY, "service": service})

    return health


def readiness(checks: Checks, ready: Callable[[], bool]) -> Callable[[Request], Awaitable[Response]]:
    """`/health/ready`: 503 while starting, draining, or when a part is unhealthy.

    Each part, and what it consists of, is told with its reason.
    """

    async def health_ready(_request: Request) -> Response:
        if not ready():
            return JSONResponse({"status": Status.UNHEALTHY, "checks": {}, "message": "starting or stopping"}, 503)
        found = await checks()
        statuses = {health.status for health in found.values()}
        worst = next(status for status in reversed(Status) if status in statuses | {Status.HEALTHY})
        body = {
            "status": worst,
            "checks": {name: _body(health) for name, health in found.items()},
        }
        return JSONResponse(body, 503 if worst is Status.UNHEALTHY else 200)

    return health_ready


def _body(health: Health) -> dict[str, Any]:
    body: dict[str, Any] = {"status": health.status, "message": health.message}
    if health.checks:
        body["checks"] = {name: _body(each) for name, each in health.checks.items()}
    return body
