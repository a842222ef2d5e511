"""Puts everything that speaks ASGI on a Starlette or FastAPI app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.routing import Route

from seawall.core import Clock, SeawallError
from seawall.web import problems
from seawall.web.admin import BreakerLike, PipelineLike, admin_routes, guarded_by
from seawall.web.cache_admin import CacheLike, WarmerLike, cache_routes
from seawall.web.consistency import ConsistencyLike, ConsistencyMiddleware
from seawall.web.database_admin import DatabaseLike, database_routes
from seawall.web.health import Checks, liveness, readiness
from seawall.web.http_cache import install_http_cache
from seawall.web.middleware import SeawallMiddleware

try:
    from fastapi.exceptions import RequestValidationError
except ImportError:  # a plain Starlette app validates nothing
    RequestValidationError = None  # type: ignore[assignment, misc]


class DatabasePart(ConsistencyLike, DatabaseLike, Protocol):
    """A database: consistency for callers, and something to look at."""


@dataclass(frozen=True, kw_only=True)
class WebParts:
    """What the composition root hands over."""

    service: str
    admin_token: str | None
    request_timeout: float
    request_id: ContextVar[str | None]
    pipelines: Mapping[str, PipelineLike]
    breakers: Callable[[], Mapping[str, BreakerLike]]
    cache: tuple[CacheLike, WarmerLike] | None
    database: DatabasePart | None
    checks: Checks
    ready: Callable[[], bool]
    running: Callable[[AbstractAsyncContextManager[Any]], AbstractAsyncContextManager[Any]]
    clock: Clock


def install(app: Any, parts: WebParts) -> None:
    """Add middleware, problem responses, health and admin routes to `app`, and run the parts around its lifespan."""
    if parts.database is not None:
        app.add_middleware(ConsistencyMiddleware, database=parts.database)
    app.add_middleware(
        SeawallMiddleware,
        timeout=parts.request_timeout,
        request_id=parts.request_id,
        clock=parts.clock,
    )
    app.add_exception_handler(SeawallError, problems.on_seawall_error)
    app.add_exception_handler(HTTPException, problems.on_http_exception)
    app.add_exception_handler(Exception, problems.on_unexpected_error)
    if RequestValidationError is not None:
        app.add_exception_handler(RequestValidationError, problems.on_validation_error)
    routes = [
        Route("/health", liveness(parts.service), methods=["GET"]),
        Route("/health/ready", readiness(parts.checks, parts.ready), methods=["GET"]),
        *admin_routes("/admin", token=parts.admin_token, pipelines=parts.pipelines, breakers=parts.breakers),
    ]
    if parts.cache is not None:
        routes += cache_routes("/admin/cache", guarded_by(parts.admin_token), *parts.cache)
    if parts.database is not None:
        routes += database_routes("/admin/database", guarded_by(parts.admin_token), parts.database)
    # In front, so that no catch-all route of the app hides them.
    app.router.routes[:0] = routes
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        install_http_cache(app)
        async with parts.running(inner(app)) as state:
            yield state

    app.router.lifespan_context = lifespan
