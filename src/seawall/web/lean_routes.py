"""Endpoints as Starlette and FastAPI make apps of them, at next to no cost for requests that raise nothing.

Both wrap `send` and make functions for each request, to be ready for an error; FastAPI enters and leaves two stacks of
exits, to be ready for dependencies with `yield`. Here that is done when there is an error, or an exit.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import CodeType
from typing import Any

from starlette import routing
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

try:
    from fastapi import routing as fastapi_routing
    from fastapi.exceptions import FastAPIError
except ImportError:  # a plain Starlette app has none
    fastapi_routing = None  # type: ignore[assignment]
    FastAPIError = RuntimeError  # type: ignore[assignment, misc]

HANDLERS = "starlette.exception_handlers"
"""Where a request's scope has what answers its errors, by class and by status."""
_AFTER, _BEFORE = "fastapi_inner_astack", "fastapi_function_astack"
"""Where it has what FastAPI's dependencies do after the response, and before it."""
_Endpoint = Callable[[Request], Awaitable[ASGIApp]]


def plainly(endpoint: _Endpoint) -> ASGIApp:
    """The app that Starlette makes of an endpoint, but for what that prepares for errors."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        handlers = scope.get(HANDLERS)  # an app inside may put others in their place
        begun = False
        try:
            response = await endpoint(request)
            begun = type(response).__call__ is Response.__call__
            if begun:  # by the first thing it does
                await response(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - raised again where it has no handler
            await handle(error, request, handlers, receive, send, begun=begun)
            return
        if not begun:  # it may fail before
            await wrap_app_handling_exceptions(response, request)(scope, receive, send)

    return app


def plainly_with_exits(endpoint: _Endpoint) -> ASGIApp:
    """Likewise what FastAPI makes of one, whose stacks of exits are left only where anything was put on them."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        handlers = scope.get(HANDLERS)
        after: Any = AsyncExitStack()
        before: Any = AsyncExitStack()
        scope[_AFTER], scope[_BEFORE] = after, before
        begun = False
        response: Any = None
        failed: BaseException | None = None
        try:
            response = await endpoint(request)
            begun = not before._exit_callbacks and type(response).__call__ is Response.__call__
            if begun:
                await response(scope, receive, send)
                if not after._exit_callbacks:
                    return
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed = error

        async def rest(scope: Scope, receive: Receive, send: Send) -> None:
            done = False
            async with after:
                async with before:
                    if failed is not None:
                        raise failed
                if failed is None:
                    if not begun:
                        await response(scope, receive, send)
                    done = True
            if not done:
                message = (
                    f"{failed!r} went no further than a dependency with yield, so that nothing is left to be answered; "
                    "what a dependency catches it must raise again, or raise another error"
                )
                raise FastAPIError(message)

        try:
            await _with_handlers(rest, request, handlers, receive, send, begun=begun)
        finally:
            failed = None  # it knows this frame

    return app


async def handle(
    error: Exception, request: Request, handlers: Any, receive: Receive, send: Send, *, begun: bool = False
) -> None:
    """Answer as Starlette does to an error that was raised just now, after the response has `begun` or before.

    handlers: as the scope had them when the request came. Raises what it raises where there is no handler, or nothing
    to be answered any more.
    """

    async def again(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error  # noqa: F821 - deleted afterwards

    try:
        await _with_handlers(again, request, handlers, receive, send, begun=begun)
    finally:
        del error  # it knows this frame


async def _with_handlers(
    app: ASGIApp, request: Request, handlers: Any, receive: Receive, send: Send, *, begun: bool
) -> None:
    """Run the rest of a request's app as Starlette runs all of it. begun: whether the response has."""

    async def goes_on(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start"})
        await app(scope, receive, send)

    async def nobody(message: Message) -> None: ...

    if handlers is not None:
        request.scope[HANDLERS] = handlers
    handled = wrap_app_handling_exceptions(goes_on if begun else app, request)
    await handled(request.scope, receive, nobody if begun else send)


def simplify(routes: list[BaseRoute]) -> None:
    """Have those that Starlette and FastAPI have made of endpoints do without what they prepare for errors.

    Also in mounts and included routers.
    """
    waiting: list[Sequence[Any]] = [routes]
    known: dict[int, Sequence[Any]] = {}
    while waiting:
        some = waiting.pop()
        if id(some) in known:
            continue
        known[id(some)] = some
        for route in some:
            inside = getattr(route, "_base_app", None)
            if isinstance(inside, (Router, Starlette)):
                waiting.append(inside.routes)
            included = getattr(route, "effective_candidates", None)  # FastAPI's, of an included router
            if included is not None:
                waiting.append(included())
            instead = getattr(route, "starlette_route", None)  # of a plain route in it
            if instead is not None:
                waiting.append([instead])
            made: Any = getattr(route, "app", None)
            again = _AGAIN.get(getattr(made, "__code__", None))
            if again is not None and (endpoint := inspect.getclosurevars(made).nonlocals.get("f")) is not None:
                route.app = again(endpoint)


async def _nothing(_: Request) -> Response:
    return Response()


def _ways() -> dict[Any, Callable[[_Endpoint], ASGIApp]]:
    """How to make an endpoint's app again, by the code of what was made of it; not where that is somebody else's."""
    ways: dict[Any, Callable[[_Endpoint], ASGIApp]] = {}
    made: Any = routing.request_response(_nothing)
    if getattr(made, "__globals__", None) is vars(routing):
        ways[made.__code__] = plainly
    made = None if fastapi_routing is None else fastapi_routing.request_response(_nothing)
    if made is not None and getattr(made, "__globals__", None) is vars(fastapi_routing):
        for inner in made.__code__.co_consts:
            # A FastAPI that does more there, or calls it otherwise, is left alone.
            if isinstance(inner, CodeType) and {*inner.co_names} == {"AsyncExitStack", "FastAPIError"}:
                kept = {const for const in inner.co_consts if isinstance(const, str) and const.endswith("_astack")}
                if kept == {_AFTER, _BEFORE}:
                    ways[made.__code__] = plainly_with_exits
    return ways


_AGAIN = _ways()
