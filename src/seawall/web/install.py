"""Puts everything that speaks ASGI on a Starlette or FastAPI app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from seawall.core import SeawallError
from seawall.web.admin import BreakerLike, PipelineLike, admin_routes, guarded_by
from seawall.web.cache_admin import CacheLike, WarmerLike, cache_routes
from seawall.web.consistency import ConsistencyLike, ConsistencyMiddleware
from seawall.web.database_admin import DatabaseLike, database_routes
from seawall.web.debug import debug_routes
from seawall.web.error_handling import slimmed
from seawall.web.health import HealthChecksLike, health_routes
from seawall.web.http_cache import install_http_cache
from seawall.web.layer import Layer
from seawall.web.logs_admin import LevelsLike, logs_routes
from seawall.web.metrics import Expose, metrics_route
from seawall.web.middleware import SeawallMiddleware
from seawall.web.openapi import describe_problems
from seawall.web.own_routes import OwnRoutes
from seawall.web.problems import Problems
from seawall.web.profiling_admin import ProfilerLike, profiling_routes
from seawall.web.requests_admin import RingLike, requests_routes

try:
    from fastapi.exceptions import RequestValidationError
except ImportError:  # a plain Starlette app validates nothing
    RequestValidationError = None  # type: ignore[assignment, misc]

METRICS = "/metrics"
_OAUTH_PAGE = "swagger_ui_oauth2_redirect_url"
PROBES = frozenset({"/health", "/health/startup", "/health/ready", "/health/detailed", METRICS})
"""Paths that are answered also under load, and not worth a line in the log."""


class DatabasePart(ConsistencyLike, DatabaseLike, Protocol):
    """A database: consistency for callers, and something to look at."""


@dataclass(frozen=True, kw_only=True)
class WebParts:
    """What the composition root hands over. before_scrape: awaited before metrics are told."""

    service: str
    admin_token: str | None
    development: bool
    layer: Layer
    ring: RingLike
    levels: LevelsLike
    expose: Expose | None
    before_scrape: Callable[[], Awaitable[object]]
    pipelines: Mapping[str, PipelineLike]
    breakers: Callable[[], Mapping[str, BreakerLike]]
    cache: tuple[CacheLike, WarmerLike] | None
    database: DatabasePart | None
    health: HealthChecksLike
    profiler: ProfilerLike | None
    started: Callable[[], bool]
    ready: Callable[[], bool]
    settings: Callable[[], Mapping[str, Any]]
    errors: Callable[[], Mapping[str, type[Exception]]]
    running: Callable[[AbstractAsyncContextManager[Any]], AbstractAsyncContextManager[Any]]


def install(app: Any, parts: WebParts) -> None:
    """Add middleware, problem responses, health and admin routes to `app`, and run the parts around its lifespan."""
    problems = parts.layer.problems
    _answer_errors(app, problems)
    if hasattr(app, "openapi"):
        describe_problems(app)
    # In front, so that no catch-all route of the app hides them.
    own = OwnRoutes([*routes(parts), *_documentation(app)], prefixes=("/admin/", "/debug/"))
    own.put(app.router.routes, first=True)
    _put_around(app, parts, own)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        async with parts.running(inner(app)) as state:
            install_http_cache(app)  # when the app has added all that it adds as it starts
            yield state

    app.router.lifespan_context = lifespan


def routes(parts: WebParts) -> list[Route]:
    """The layer's own routes."""
    guard = guarded_by(parts.admin_token)
    found: list[Route] = [
        *health_routes(
            parts.service,
            parts.health,
            started=parts.started,
            ready=parts.ready,
            guard=None if parts.development else guard,
        ),
        *admin_routes("/admin", token=parts.admin_token, pipelines=parts.pipelines, breakers=parts.breakers),
        *logs_routes("/admin/loggers", guard, parts.levels),
        *requests_routes("/admin/requests", guard, parts.ring),
    ]
    if parts.development:
        found += debug_routes("/debug", settings=parts.settings, errors=parts.errors)
    if parts.expose is not None:
        found.append(metrics_route(METRICS, parts.expose, parts.before_scrape))
    if parts.profiler is not None:
        found += profiling_routes("/admin/profile", guard, parts.profiler)
    if parts.cache is not None:
        found += cache_routes("/admin/cache", guard, *parts.cache)
    if parts.database is not None:
        found += database_routes("/admin/database", guard, parts.database)
    for route in found:
        route.name = f"seawall:{route.name}"  # or `url_for("health")` could be another than the app's own
    return found


def _answer_errors(app: Any, problems: Problems) -> None:
    """Have `problems` answer what the app has no handler of its own for."""
    handlers: dict[Any, Any] = {
        SeawallError: problems.on_seawall_error,
        HTTPException: problems.on_http_exception,
        Exception: problems.on_unexpected_error,
    }
    if RequestValidationError is not None:
        handlers[RequestValidationError] = problems.on_validation_error
    if 500 in app.exception_handlers:  # noqa: PLR2004 - which is another name for it
        del handlers[Exception]
    for kind, handler in handlers.items():
        own = app.exception_handlers.get(kind)
        if own is None or getattr(own, "__module__", None) == "fastapi.exception_handlers":
            app.add_exception_handler(kind, handler)


def _documentation(app: Any) -> list[Route]:
    """Take FastAPI's own pages from its routes, where each is a regular expression to be tried for every request."""
    paths = {getattr(app, name, None) for name in ("openapi_url", "docs_url", "redoc_url", _OAUTH_PAGE)}
    found = [
        route for route in app.router.routes if type(route) is Route and route.path in paths and "{" not in route.path
    ]
    for route in found:
        app.router.routes.remove(route)
    return found


def _put_around(app: Any, parts: WebParts, own: OwnRoutes) -> None:
    """Have the layer be the outermost middleware but for CORS, whatever is added before the app is started.

    So it sees every request, and what it answers itself can be read by a page of another origin too.
    """
    ours = [Middleware(SeawallMiddleware, layer=parts.layer)]
    if parts.database is not None:
        ours.append(Middleware(ConsistencyMiddleware, database=parts.database))
    build = app.build_middleware_stack

    def build_with_ours() -> Any:
        others = [one for one in app.user_middleware if one not in ours]
        cors = [one for one in others if one.cls is CORSMiddleware]
        app.user_middleware = [*cors, *ours, *(one for one in others if one.cls is not CORSMiddleware)]
        return slimmed(build(), parts.layer.problems, own, app.router.routes)

    app.build_middleware_stack = build_with_ours
