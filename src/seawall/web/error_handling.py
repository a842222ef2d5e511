"""Starlette's own error middlewares at next to no cost for the requests that raise nothing.

They, and each of its routes, wrap `send` and make functions for each request, to be ready for an error.
Here an error is handled when there is one, by the very same code. Likewise for FastAPI's, which
enters and leaves a stack of exits for each request, to be ready for an upload. The layer's own routes are looked up
here too: a router would ask them about each request, however quickly they decline.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, Router, request_response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seawall.web.own_routes import OwnRoutes
from seawall.web.problems import Problems

try:
    from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
except ImportError:  # a plain Starlette app has none
    AsyncExitStackMiddleware = None  # type: ignore[assignment, misc]

_HANDLERS = "starlette.exception_handlers"
SERVED = "seawall.served"
"""Where a request's scope has what becomes of it, whose status is 0 until the response begins."""


class HandledErrors:
    """In place of `plain`: the same handlers, called by it. own: the layer's routes, which come before the app's."""

    def __init__(self, plain: Any, own: OwnRoutes | None = None) -> None:
        uploads = plain.app if type(plain.app) is AsyncExitStackMiddleware else None
        self.app = plain.app if uploads is None else uploads.app
        self._uploads = None if uploads is None else uploads.context_name
        self._own = own or OwnRoutes((), prefixes=())
        self._exact, self._prefixes = self._own.exact, self._own.prefixes
        self._plain = plain
        self._handlers = (plain._exception_handlers, plain._status_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request served; an error for which there is a handler is handled."""
        if scope["type"] != "http":
            await self._plain(scope, receive, send)
            return
        scope[_HANDLERS] = self._handlers
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
            await _handle(error, Request(scope, receive, send), self._handlers, receive, send)

    def _taken_by_others(self, scope: Scope) -> bool:
        routes: list[BaseRoute] = getattr(self.app, "routes", [])
        return any(route is not self._own and route.matches(scope)[0] is Match.FULL for route in routes)

    def _known(self, error: Exception) -> bool:
        by_class, by_status = self._handlers
        if isinstance(error, HTTPException) and error.status_code in by_status:
            return True
        return any(kind in by_class for kind in type(error).__mro__)


def plainly(endpoint: Callable[[Request], Awaitable[ASGIApp]]) -> ASGIApp:
    """The app that Starlette makes of an endpoint, but for what that prepares for errors."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        handlers = scope.get(_HANDLERS)  # an app inside may put others in their place
        begun = False
        try:
            response = await endpoint(request)
            begun = type(response).__call__ is Response.__call__
            if begun:  # by the first thing it does
                await response(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - raised again where it has no handler
            await _handle(error, request, handlers, receive, send, begun=begun)
            return
        if not begun:  # it may fail before
            await wrap_app_handling_exceptions(response, request)(scope, receive, send)

    return app


async def _handle(
    error: Exception, request: Request, handlers: Any, receive: Receive, send: Send, *, begun: bool = False
) -> None:
    """Answer as Starlette does to an error that was raised just now, after the response has `begun` or before.

    Raises what it raises where there is no handler, or nothing to be answered any more.
    """

    async def again(_scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start"})
        raise error

    async def nobody(message: Message) -> None: ...

    if handlers is not None:
        request.scope[_HANDLERS] = handlers
    await wrap_app_handling_exceptions(again, request)(request.scope, receive, nobody if begun else send)


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
        instead = HandledErrors(inside, own) if type(inside) is ExceptionMiddleware else _answered(inside, problems)
        if instead is not inside:
            with suppress(AttributeError, TypeError):  # it may be of a kind that nothing can be set on
                around.app = instead
        if getattr(around, "app", None) is instead and isinstance(instead, HandledErrors):
            own.put(routes, first=False)
            simplify(routes)
            break
        around = instead
    return outermost


def _answered(middleware: Any, problems: Problems) -> Any:
    if type(middleware) is not ServerErrorMiddleware or middleware.debug:
        return middleware
    if middleware.handler not in {None, problems.on_unexpected_error}:
        problems.own_handler = middleware.handler
    return AnsweredErrors(middleware.app, handler=middleware.handler)


def simplify(routes: list[BaseRoute]) -> None:
    """Have those that Starlette has made of endpoints do without what they prepare for errors, also in mounts."""
    waiting, known = [routes], set[int]()
    while waiting:
        routes = waiting.pop()
        if id(routes) in known:
            continue
        known.add(id(routes))
        for route in routes:
            inside = getattr(route, "_base_app", None)
            if isinstance(inside, (Router, Starlette)):
                waiting.append(inside.routes)
            if type(route) is Route and getattr(route.app, "__code__", None) is _MADE:
                made: Any = route.app
                endpoint = inspect.getclosurevars(made).nonlocals.get("f")
                if endpoint is not None:
                    route.app = plainly(endpoint)


async def _nothing(_: Request) -> Response:
    return Response()


_MADE = getattr(request_response(_nothing), "__code__", object())
"""Of what Starlette makes of an endpoint, unless somebody has put something of theirs in its place."""
