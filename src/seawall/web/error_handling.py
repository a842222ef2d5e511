"""Starlette's own error middlewares at next to no cost for the requests that raise nothing.

They wrap `send` and make a `Request` and functions for each request, to be ready for an error.
Here an error is handled when there is one, by the very same code. Likewise for FastAPI's, which
enters and leaves a stack of exits for each request, to be ready for an upload.
"""

from __future__ import annotations

import copy
import sys
from contextlib import AsyncExitStack, suppress
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import Receive, Scope, Send

from seawall.web.problems import Problems

try:
    from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
except ImportError:  # a plain Starlette app has none
    AsyncExitStackMiddleware = None  # type: ignore[assignment, misc]

_HANDLERS = "starlette.exception_handlers"
EXCHANGE = "seawall.exchange"
"""Where a request's scope has what knows whether the response has begun."""


class HandledErrors:
    """In place of `plain`: the same handlers, called by it."""

    def __init__(self, plain: Any) -> None:
        uploads = plain.app if type(plain.app) is AsyncExitStackMiddleware else None
        self.app = plain.app if uploads is None else uploads.app
        self._uploads = None if uploads is None else uploads.context_name
        self._plain = plain
        self._handlers = (plain._exception_handlers, plain._status_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request served; an error for which there is a handler is handled."""
        if scope["type"] != "http":
            await self._plain(scope, receive, send)
            return
        scope[_HANDLERS] = self._handlers
        try:
            if self._uploads is None:
                await self.app(scope, receive, send)
            else:
                uploads: Any = AsyncExitStack()
                scope[self._uploads] = uploads
                try:
                    await self.app(scope, receive, send)
                finally:
                    if uploads._exit_callbacks:
                        await uploads.__aexit__(*sys.exc_info())
        except Exception as error:
            if not self._known(error):
                raise
            if EXCHANGE in scope and scope[EXCHANGE].begun:
                message = "there is a handler of the error, but the response had begun already"
                raise RuntimeError(message) from error
            await self._handle(error, scope, receive, send)

    def _known(self, error: Exception) -> bool:
        by_class, by_status = self._handlers
        if isinstance(error, HTTPException) and error.status_code in by_status:
            return True
        return any(kind in by_class for kind in type(error).__mro__)

    async def _handle(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        async def again(_scope: Scope, _receive: Receive, _send: Send) -> None:
            raise error

        plain = copy.copy(self._plain)
        plain.app = again
        await plain(scope, receive, send)


class AnsweredErrors(ServerErrorMiddleware):
    """In place of one whose errors the layer inside has answered. It is still one, as others may want to see."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Have a request served."""
        return self.app(scope, receive, send)


def slimmed(stack: Any, problems: Problems) -> Any:
    """The middlewares of an app with Seawall's among them, without what that does already."""
    problems.own_handler = None
    outermost = around = _answered(stack, problems)
    while (inside := getattr(around, "app", None)) is not None:
        instead = HandledErrors(inside) if type(inside) is ExceptionMiddleware else _answered(inside, problems)
        if instead is not inside:
            with suppress(AttributeError, TypeError):  # it may be of a kind that nothing can be set on
                around.app = instead
        if isinstance(instead, HandledErrors):
            break
        around = instead
    return outermost


def _answered(middleware: Any, problems: Problems) -> Any:
    if type(middleware) is not ServerErrorMiddleware or middleware.debug:
        return middleware
    if middleware.handler not in {None, problems.on_unexpected_error}:
        problems.own_handler = middleware.handler
    return AnsweredErrors(middleware.app, handler=middleware.handler)
