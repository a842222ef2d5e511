"""The layer's own routes as one, so that every other request is done with them by a look at its path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send


class OwnRoutes(BaseRoute):
    """Routes in front of an app's own.

    prefixes: what the paths of those with parameters begin with. exact: the others' paths.
    """

    def __init__(self, routes: Sequence[Route], *, prefixes: tuple[str, ...]) -> None:
        self.routes = list(routes)
        self.prefixes = prefixes
        self.exact = frozenset(route.path for route in routes if "{" not in route.path)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As of the first route that matches, or of one with another method."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"", "/"}:
            path = path[len(root) :]
        if path not in self.exact and not path.startswith(self.prefixes):
            return Match.NONE, {}
        partial: tuple[Match, Scope] = (Match.NONE, {})
        for route in self.routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                return match, {**found, "route": route}
            if match is Match.PARTIAL and partial[0] is Match.NONE:
                partial = match, {**found, "route": route}
        return partial

    def put(self, routes: list[BaseRoute], *, first: bool) -> None:
        """Have them first among a router's, or last, where somebody else looks at them before."""
        if self in routes:
            routes.remove(self)
        routes.insert(0 if first else len(routes), self)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """By the route that matched."""
        await scope["route"].handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path of the route of that name. Raises `NoMatchFound`."""
        for route in self.routes:
            try:
                return route.url_path_for(name, **path_params)
            except NoMatchFound:
                continue
        raise NoMatchFound(name, path_params)
