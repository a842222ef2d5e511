"""Errors in apps within apps, and in apps that others have changed."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from anyio import to_thread
from fastapi import BackgroundTasks, FastAPI, WebSocket
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from seawall import Seawall
from seawall.errors import NotFoundError
from tests.unit.web.failing_app import ask, by_hand, by_hand_async, failing


class MineError(Exception):
    pass


def within(sub: Any) -> FastAPI:
    """An app with a handler of its own, and `sub` at `/sub`."""
    app = FastAPI()

    @app.get("/boom")
    async def boom() -> None:
        raise MineError("x")

    @app.exception_handler(MineError)
    async def handled(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("handled", 418)

    app.mount("/sub", sub)
    return Seawall(service="test").install(app)


def test_an_app_inside_changes_nothing_of_the_one_around_it():
    sub = FastAPI()

    @sub.get("/hi")
    async def hi() -> str:
        return "hi"

    @sub.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    client = TestClient(within(sub))
    assert client.get("/sub/hi").status_code == 200
    assert client.get("/boom").status_code == 418
    with client.websocket_connect("/sub/live"):
        pass
    assert client.get("/boom").status_code == 418


@pytest.mark.parametrize("compressed", [False, True])
def test_what_has_begun_gets_no_second_response(compressed):
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
        raise HTTPException(409)

    app = within(half)
    if compressed:
        app.add_middleware(GZipMiddleware)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "method": "GET", "path": "/sub/", "headers": [(b"accept-encoding", b"gzip")],
        "query_string": b"", "server": ("s", 80), "scheme": "http",
    }  # fmt: skip
    with pytest.raises(RuntimeError, match="had begun"):
        asyncio.run(app(scope, receive, send))
    assert [message["type"] for message in sent].count("http.response.start") == 1
    assert all(message.get("more_body", True) for message in sent), "the client can tell that it was cut"


def test_a_handler_hears_of_what_fails_behind_the_answer_too():
    heard = []
    app = FastAPI()

    @app.exception_handler(Exception)
    async def handler(request: Any, error: Exception) -> PlainTextResponse:
        heard.append(str(error))
        return PlainTextResponse("nobody gets this")

    async def later() -> None:
        raise ValueError("in the background")

    @app.get("/")
    async def endpoint(background: BackgroundTasks) -> str:
        background.add_task(later)
        return "done"

    Seawall(service="test").install(app)
    assert ask(app, "/").json() == "done"
    assert heard == ["in the background"]


def test_what_instruments_apps_finds_what_it_looks_for():
    app = Seawall(service="test").install(FastAPI())
    assert isinstance(app.build_middleware_stack(), ServerErrorMiddleware)


def test_a_handler_is_found_behind_what_was_put_around_all_before():
    app = failing(ValueError("x"))
    app.add_exception_handler(Exception, by_hand)
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: ServerErrorMiddleware(build())  # type: ignore[method-assign]
    Seawall(service="test").install(app)
    assert ask(app, "/").text == "mine: ValueError"


def test_a_middleware_on_which_nothing_can_be_set_stays_as_it_is():
    @dataclass(frozen=True)
    class Frozen:
        app: Any

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

    app = failing(NotFoundError("campaign", 7))
    app.add_middleware(Frozen)
    Seawall(service="test").install(app)
    assert [ask(app, path).status_code for path in ("/", "/nowhere")] == [404, 404]


def test_a_coroutine_that_handles_errors_waits_for_no_thread():
    app = failing(ValueError("x"))
    app.add_exception_handler(Exception, by_hand_async)
    Seawall(service="test").install(app)

    async def main() -> str:
        limiter = to_thread.current_default_thread_limiter()
        limiter.total_tokens = 1
        async with limiter, httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://t") as client:
            return (await asyncio.wait_for(client.get("/"), 5)).text

    assert asyncio.run(main()) == "mine: ValueError"
