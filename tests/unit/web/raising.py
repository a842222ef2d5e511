"""Apps, endpoints and handlers for all that can come of an error."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Message, Receive, Scope, Send

from seawall.web.error_handling import SERVED


class Hiding:
    def __init__(self, app: Any) -> None:
        self._inside = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._inside(scope, receive, send)


class HoldingBack:
    def __init__(self, app: Any) -> None:
        self._inside = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._inside(scope, receive, hold)
        for message in held:
            await send(message)


START = {"type": "http.response.start", "status": 200, "headers": []}


class KnownError(Exception):
    pass


class ChildOfKnownError(KnownError):
    pass


async def on_known(request: Any, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"known: {error} at {request.url.path}", 418)


def on_lookup(request: Any, error: Exception) -> PlainTextResponse:
    return PlainTextResponse("not there", 410)


async def on_404(request: Any, error: Exception) -> PlainTextResponse:
    return PlainTextResponse("nowhere", 404)


async def on_index(request: Any, error: Exception) -> PlainTextResponse:
    raise KnownError("while it was handled")


async def nothing(request: Any, error: Exception) -> None:
    return None


HANDLERS: dict[Any, Any] = {
    KnownError: on_known, KeyError: on_lookup, 404: on_404, IndexError: on_index, OSError: nothing
}  # fmt: skip
ERRORS = {
    "none": None,
    "known": KnownError("x"),
    "a child of it": ChildOfKnownError("y"),
    "by a function": KeyError("k"),
    "unknown": ValueError("v"),
    "404": HTTPException(404),
    "405": HTTPException(405, headers={"allow": "GET"}),
    "fails again": IndexError("i"),
    "answered with nothing": OSError("o"),
    "no Exception": asyncio.CancelledError(),
}


def app_that_raises(error: BaseException | None, begun: bool) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send(dict(START))
        if error is not None:
            raise error
        if not begun:
            await send(dict(START))
        await send({"type": "http.response.body", "body": b"fine"})

    return app


async def told_by(middleware: Any) -> tuple[list[Message], str]:
    sent: list[Message] = []
    served = SimpleNamespace(status=0)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and sent:
            raise RuntimeError("a second response")  # as servers do
        sent.append(message)
        served.status = 200

    async def receive() -> Message:
        return received.pop() if received else {"type": "http.disconnect"}

    received: list[Message] = [{"type": "http.request", "body": b"read", "more_body": False}]
    scope: Any = {
        "type": "http", "method": "GET", "path": "/p", "headers": [], "query_string": b"", "server": ("s", 80),
        "scheme": "http", SERVED: served,
    }  # fmt: skip
    try:
        await middleware(scope, receive, send)
    except BaseException as error:  # noqa: BLE001 - also a cancellation
        return sent, type(error).__name__
    return sent, ""


def endpoint_that_raises(error: BaseException | None, begun: bool) -> Any:
    async def endpoint(request: Request) -> Any:
        await request.body()
        if begun or error is None:
            return app_that_raises(error, begun)
        raise error

    return endpoint


def in_a_thread(error: BaseException | None, begun: bool) -> Any:
    def endpoint(request: Request) -> Any:
        if begun or error is None:
            return app_that_raises(error, begun)
        raise error

    return endpoint


def streaming(error: BaseException | None, begun: bool) -> Any:
    async def parts() -> AsyncIterator[bytes]:
        if begun:
            yield b"begun"
        if error is not None:
            raise error
        yield b"fine"

    async def endpoint(request: Request) -> Any:
        return StreamingResponse(parts())

    return endpoint


def with_work_afterwards(error: BaseException | None, begun: bool) -> Any:
    async def work() -> None:
        if error is not None:
            raise error

    async def endpoint(request: Request) -> Any:
        return PlainTextResponse("begun", background=BackgroundTask(work))

    return endpoint


def without_a_response(error: BaseException | None, begun: bool) -> Any:
    async def endpoint(request: Request) -> Any:
        return error

    return endpoint


def at_the_route(endpoint: Any) -> list[BaseRoute]:
    return [Route("/p", endpoint)]


def with_a_middleware(endpoint: Any) -> list[BaseRoute]:
    return [Route("/p", endpoint, middleware=[Middleware(Hiding)])]


def in_a_mount(endpoint: Any) -> list[BaseRoute]:
    return [Mount("/", routes=at_the_route(endpoint), middleware=[Middleware(Hiding)])]


def held_back(endpoint: Any) -> list[BaseRoute]:
    return [Mount("/", routes=at_the_route(endpoint), middleware=[Middleware(HoldingBack)])]


def zipped(endpoint: Any) -> list[BaseRoute]:
    return [Mount("/", routes=at_the_route(endpoint), middleware=[Middleware(GZipMiddleware)])]


def with_handlers_of_its_own(endpoint: Any) -> list[BaseRoute]:
    handlers = {IndexError: on_known}
    return [Mount("/", routes=at_the_route(endpoint), middleware=[Middleware(ExceptionMiddleware, handlers=handlers)])]


def in_an_app_of_its_own(endpoint: Any) -> list[BaseRoute]:
    return [Mount("/", app=Starlette(routes=at_the_route(endpoint), exception_handlers={IndexError: on_known}))]


async def with_the_body(request: Any, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(await request.body(), 422)
