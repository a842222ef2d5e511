"""Endpoints as Starlette and FastAPI make apps of them, at next to no cost for requests that raise nothing.

Both wrap `send` and make functions for each request, to be ready for an error; FastAPI enters and leaves two stacks of
exits, to be ready for dependencies with `yield`. Here that is done when there is an error, or an exit.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from types import CodeType, FunctionType
from typing import Any

from starlette import routing
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
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
            begun = type(response).__call__ is _CALL
            if begun:  # by the first thing it does
                await response(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - raised again where it has no handler
            await handle(error, request, handlers, scope, receive, send, begun=begun)
            return
        if not begun:  # it may fail before
            await _with_handlers(response, request, handlers, scope, receive, send)

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
        try:
            response = await endpoint(request)
            begun = not before._exit_callbacks and type(response).__call__ is _CALL
            if begun:
                await response(scope, receive, send)
                if not after._exit_callbacks:
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where nobody swallows it
            rest = _rest(after, before, (), error)
            await _with_handlers(rest, request, handlers, scope, receive, send, begun=begun)
            return
        rest = _rest(after, before, () if begun else (response,))
        await _with_handlers(rest, request, handlers, scope, receive, send, begun=begun)

    return app


def _rest(after: Any, before: Any, responses: Sequence[Any], failed: BaseException | None = None) -> ASGIApp:
    """What FastAPI does once an endpoint has `failed`, or returned. responses: that which has not been sent yet."""

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal failed
        done = False
        try:
            async with after:
                async with before:
                    if failed is not None:
                        raise failed
                if failed is not None:
                    raise FastAPIError(_SWALLOWED) from failed
                try:
                    for response in responses:
                        await response(scope, receive, send)
                except BaseException as error:
                    failed = error
                    raise
                done = True
            if not done:
                raise FastAPIError(_SWALLOWED) from failed
        finally:
            failed = None  # it knows this frame

    return rest


async def handle(
    error: Exception,
    request: Request,
    handlers: Any,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    begun: bool = False,
) -> None:
    """Answer as Starlette does to an error that was raised just now, after the response has `begun` or before.

    handlers: as the scope had them when the request came. Raises what it raises where there is no handler, or nothing
    to be answered any more.
    """

    async def again(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error  # noqa: F821 - deleted afterwards

    try:
        await _with_handlers(again, request, handlers, scope, receive, send, begun=begun)
    finally:
        del error  # it knows this frame


async def _with_handlers(
    app: ASGIApp,
    request: Request,
    handlers: Any,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    begun: bool = False,
) -> None:
    """Run the rest of a request's app as Starlette runs all of it. begun: whether the response has."""

    async def goes_on(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start"})
        await app(scope, receive, send)

    async def nobody(message: Message) -> None: ...

    if handlers is not None:
        request.scope[HANDLERS] = handlers
    handled = wrap_app_handling_exceptions(goes_on if begun else app, request)
    await handled(scope, receive, nobody if begun else send)


def simplify(routes: Sequence[BaseRoute]) -> None:
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
            elif isinstance(route, _INCLUDED):
                with suppress(Exception):  # FastAPI tells of it when a request gets that far
                    waiting.append(route.effective_candidates())
            elif isinstance(route, _CONTEXT) and route.starlette_route is not None:
                waiting.append([route.starlette_route])
            elif isinstance(route, (Route, _CONTEXT)):
                _simplify(route)


def _simplify(route: Any) -> None:
    made: Any = getattr(route, "__dict__", {}).get("app")  # no property, which may be anybody's code
    again = _AGAIN.get(made.__code__) if type(made) is FunctionType else None
    if again is not None and (endpoint := inspect.getclosurevars(made).nonlocals.get("f")) is not None:
        route.app = again(endpoint)


async def _nothing(_: Request) -> Response:
    return Response()


def _made_by(module: Any, names: set[str], texts: set[str]) -> CodeType | None:
    """The code of what `module` makes of endpoints; None where that is somebody else's, or does something else.

    names, texts: those that it uses to run the endpoint.
    """
    made: Any = None if module is None else module.request_response(_nothing)
    if type(made) is not FunctionType or made.__globals__ is not vars(module):
        return None
    code = made.__code__
    if not _USUAL.issuperset(code.co_names):
        return None
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and {*inner.co_names} == names:
            found = {text for text in inner.co_consts if isinstance(text, str) and text.isidentifier()}
            return code if found == texts else None
    return None


_CALL = Response.__call__
_SWALLOWED = (
    "a dependency with yield has swallowed the error that this one comes from, so that there is nothing to answer; "
    "what it catches it must raise again, or raise another error"
)
_USUAL = frozenset({"Request", "wrap_app_handling_exceptions", "Scope", "Receive", "Send"})
_INCLUDED: Any = getattr(fastapi_routing, "_IncludedRouter", ())
_CONTEXT: Any = getattr(fastapi_routing, "_EffectiveRouteContext", ())
_WAYS = (
    (plainly, _made_by(routing, set(), set())),
    (plainly_with_exits, _made_by(fastapi_routing, {"AsyncExitStack", "FastAPIError"}, {_AFTER, _BEFORE})),
)
_AGAIN = {code: again for again, code in _WAYS if code is not None}
"""How to make an app again, by the code of what was made."""
