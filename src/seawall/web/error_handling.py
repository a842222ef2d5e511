"""Starlette's own error middlewares at next to no cost for the requests that raise nothing.

They wrap `send` and make functions for each request, to be ready for an error. Here an error is handled when there is
one, by the very same code. Likewise for FastAPI's, which enters and leaves a stack of exits for each request, to be
ready for an upload. The layer's own routes are looked up here too: a router would ask them about each request, however
quickly they decline.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from seawall.web.lean_routes import HANDLERS, handle, simplify
from seawall.web.own_routes import OwnRoutes
from seawall.web.problems import Problems

try:
    from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
except ImportError:  # a plain Starlette app has none
    AsyncExitStackMiddleware = None  # type: ignore[assignment, misc]

SERVED = "seawall.served"
"""Where a request's scope has what becomes of it, whose status is 0 until the response begins."""


class HandledErrors:
    """In place of `plain`: the same handlers, called by it. own: the layer's routes, which come before the app's.

    routes: the app's, made simple at the first request, when whoever adds to them as the app starts is done.
    """

    def __init__(self, plain: Any, own: OwnRoutes | None = None, routes: Sequence[BaseRoute] | None = None) -> None:
        uploads = plain.app if type(plain.app) is AsyncExitStackMiddleware else None
        self.app = plain.app if uploads is None else uploads.app
        self._uploads = None if uploads is None else uploads.context_name
        self._own = own or OwnRoutes((), prefixes=())
        self._exact, self._prefixes = self._own.exact, self._own.prefixes
        self._plain = plain
        self._routes = routes
        self._handlers = (plain._exception_handlers, plain._status_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request served; an error for which there is a handler is handled."""
        if scope["type"] != "http":
            await self._plain(scope, receive, send)
            return
        if self._routes is not None:
            routes, self._routes = self._routes, None
            simplify(routes)
        scope[HANDLERS] = self._handlers
        path: str = scope["path"]
        app = self.app
        if path in self._exact or path.startswith(self._prefixes) or scope.get("root_path"):
            match, found = self._own.matches(scope)
            # One with another method is answered here, too, unless the app has it.
            if match is Match.FULL or (match is Match.PARTIAL and not self._taken_by_others(scope)):
                scope.setdefault("router", self.app)
                scope.update(found)
                app = self._own.handle
        try:
            if self._uploads is None:
                await app(scope, receive, send)
            else:
                uploads: Any = AsyncExitStack()
                scope[self._uploads] = uploads
                try:
                    await app(scope, receive, send)
                finally:
                    if uploads._exit_callbacks:
                        await uploads.__aexit__(*sys.exc_info())
        except Exception as error:
            if not self._known(error):
                raise
            if SERVED in scope and scope[SERVED].status:
                message = "there is a handler of the error, but the response had begun already"
                raise RuntimeError(message) from error
            await handle(error, Request(scope, receive, send), self._handlers, scope, receive, send)

    def _taken_by_others(self, scope: Scope) -> bool:
        routes: list[BaseRoute] = getattr(self.app, "routes", [])
        return any(route is not self._own and route.matches(scope)[0] is Match.FULL for route in routes)

    def _known(self, error: Exception) -> bool:
        by_class, by_status = self._handlers
        if isinstance(error, HTTPException) and error.status_code in by_status:
            return True
        return any(kind in by_class for kind in type(error).__mro__)


class AnsweredErrors(ServerErrorMiddleware):
    """In place of one whose errors the layer inside has answered. It is still one, as others may want to see."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Have a request served."""
        return self.app(scope, receive, send)


def slimmed(stack: Any, problems: Problems, own: OwnRoutes, routes: list[BaseRoute]) -> Any:
    """The middlewares of an app with Seawall's among them, without what that does already.

    own: the layer's routes, among the `routes` of the app.
    """
    own.put(routes, first=True)
    problems.own_handler = None
    outermost = around = _answered(stack, problems)
    while (inside := getattr(around, "app", None)) is not None:
        instead = (
            HandledErrors(inside, own, routes) if type(inside) is ExceptionMiddleware else _answered(inside, problems)
        )
        if instead is not inside:
            with suppress(AttributeError, TypeError):  # it may be of a kind that nothing can be set on
                around.app = instead
        if getattr(around, "app", None) is instead and isinstance(instead, HandledErrors):
            own.put(routes, first=False)
            break
        around = instead
    return outermost


def _answered(middleware: Any, problems: Problems) -> Any:
    if type(middleware) is not ServerErrorMiddleware or middleware.debug:
        return middleware
    if middleware.handler not in {None, problems.on_unexpected_error}:
        problems.own_handler = middleware.handler
    return AnsweredErrors(middleware.app, handler=middleware.handler)
