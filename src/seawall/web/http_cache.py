"""HTTP caching of endpoints (RFC 9110, 9111): entity tags, conditional requests, and whole responses in a cache.

@app.get("/tenants/{tenant_id}/podcasts")
@http_cached(cache, ttl=60, tags=["tenant:{tenant_id}"])
async def podcasts(tenant_id: UUID, session: Session = Depends(session)) -> list[Podcast]: ...

install_http_cache(app)         # once, behind the routes; Seawall's `install` does it when the service starts
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from starlette.routing import Mount, Route

from seawall.web.http_rule import RULE, ResponseCache, http_cached
from seawall.web.http_serving import Serving

try:
    from fastapi.routing import iter_route_contexts
except ImportError:  # a plain Starlette app declares nothing
    iter_route_contexts = None  # type: ignore[assignment]

__all__ = ["ResponseCache", "http_cached", "install_http_cache"]

_COMPRESSING = ("gzip", "brotli", "zstd", "compress")


def install_http_cache(app: Any) -> None:
    """Serve the endpoints of `app` marked with `http_cached` from their caches; doing it twice changes nothing.

    app: a FastAPI or Starlette application whose routes are all there, also those of routers and mounted applications.
    """
    compressed = any(
        word in getattr(middleware.cls, "__name__", "").lower()
        for middleware in getattr(app, "user_middleware", ())
        for word in _COMPRESSING
    )
    found: dict[int, tuple[Any, list[Any]]] = {}
    for route, declares in _routes(app.routes):
        found.setdefault(id(route), (route, []))[1].append(declares)
    for route, declarations in found.values():
        rule = getattr(route.endpoint, RULE, None)
        if rule is None or isinstance(getattr(route.handle, "__self__", route.handle), Serving):
            continue
        if "GET" not in (route.methods or ()):
            continue
        declared: set[str] = set()
        credentials: set[str] = set()
        for dependant in declarations:  # several where a router is included several times
            _declarations(dependant, declared, credentials)
        # An attribute of this route: FastAPI makes others of it, for routers that are included, which come back to it.
        route.handle = Serving(
            rule,
            route.handle,
            app,
            declared=frozenset(declared),
            credentials=frozenset(credentials),
            compressed=compressed,
        )


def _routes(routes: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Every route, and what FastAPI knows of its parameters."""
    if iter_route_contexts is None:
        contexts: Iterable[Any] = routes
    else:
        contexts = iter_route_contexts(routes)
    for context in contexts:
        route = getattr(context, "original_route", context)
        if isinstance(route, Route):
            yield route, getattr(context, "dependant", None)
        elif isinstance(route, Mount):
            yield from _routes(route.routes)


def _declarations(dependant: Any, declared: set[str], credentials: set[str]) -> None:
    """Note the request headers that an endpoint and its dependencies declare, and those that say who asks."""
    if dependant is None:
        return
    for field in dependant.header_params:
        model = getattr(field.field_info.annotation, "model_fields", None)
        if model is None:
            declared.add(field.alias.lower())
            continue
        for name, each in model.items():
            alias = each.validation_alias or each.alias
            own = name.replace("_", "-") if getattr(field.field_info, "convert_underscores", True) else name
            choices = [own] if alias is None else getattr(alias, "choices", [alias])
            declared.update(choice.lower() for choice in choices if isinstance(choice, str))
    if dependant.cookie_params:
        declared.add("cookie")
    scheme = getattr(dependant.call, "model", None)  # of FastAPI's security; Authorization and cookies are known
    if getattr(getattr(scheme, "in_", None), "value", None) == "header":
        credentials.add(scheme.name.lower())  # type: ignore[union-attr]
    for each in dependant.dependencies:
        _declarations(each, declared, credentials)
