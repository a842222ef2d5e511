"""The route that served a request as its template: `/campaigns/{id}`, never the path with its ids."""

from __future__ import annotations

from typing import Any

from starlette.routing import Mount
from starlette.types import Scope

UNMATCHED = "(unmatched)"
"""Of a request that no route took."""


def template_of(scope: Scope, root: str) -> str:
    """The template by what routing has left in `scope`. root: its `root_path` before that.

    Right for routes of Starlette and FastAPI, included routers (FastAPI keeps their prefix apart), and what is mounted:
    the mount's own template, then the route's, or `*` where the mounted app isn't known to have routes.
    """
    route = scope.get("route")
    known = scope.get("fastapi")
    mounted = scope.get("root_path", "")
    path: str | None = None
    if known:
        context = known.get("effective_route_context")
        if context is not None:
            if context.original_route is route:
                path = context.path
            elif context.starlette_route is route:
                path = route.path if route is not None else None
    if path is None and route is not None and not isinstance(route, Mount):
        path = getattr(route, "path", None)
    if mounted is not root and len(mounted) > len(root):
        return _generic(mounted[len(root) :], scope) + ("/*" if path is None else path)
    if path is not None:
        return path
    if scope.get("endpoint") is None:
        return UNMATCHED
    # A route that says nothing of itself: its path, with what was found in it taken out.
    return _generic(scope["path"][len(root) :] or "/", scope)


def _generic(path: str, scope: Scope) -> str:
    parameters: dict[str, Any] = scope.get("path_params") or {}
    if not parameters:
        return path
    # The last ones first: a mount's own come before those of what is mounted.
    names = {str(value): name for name, value in reversed(parameters.items())}
    parts = [f"{{{names[part]}}}" if part in names else part for part in path.split("/")]
    return "/".join(parts)
