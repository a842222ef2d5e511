"""In place of Starlette's middleware for errors: whatever happens, the same comes out of both."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, UploadFile
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from seawall import Seawall
from seawall.core import SeawallError
from seawall.errors import NotFoundError
from seawall.web.error_handling import HandledErrors
from seawall.web.lean_routes import simplify
from seawall.web.middleware import SeawallMiddleware
from tests.unit.web.failing_app import ask, by_hand, by_hand_async, failing
from tests.unit.web.raising import (
    ERRORS,
    HANDLERS,
    Hiding,
    KnownError,
    app_that_raises,
    at_the_route,
    endpoint_that_raises,
    held_back,
    in_a_mount,
    in_a_thread,
    in_an_app_of_its_own,
    on_known,
    streaming,
    told_by,
    with_a_middleware,
    with_handlers_of_its_own,
    with_the_body,
    with_work_afterwards,
    without_a_response,
    zipped,
)


@pytest.mark.parametrize("begun", [False, True], ids=["", "the response has begun"])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_the_same_comes_out(error, begun):
    plain = ExceptionMiddleware(app_that_raises(error, begun), handlers=HANDLERS)
    ours = HandledErrors(ExceptionMiddleware(app_that_raises(error, begun), handlers=HANDLERS))
    expected = asyncio.run(told_by(plain))
    for _ in range(3):  # the first time it is Starlette's own that answers
        assert asyncio.run(told_by(ours)) == expected


@pytest.mark.parametrize(
    "routes",
    [
        at_the_route, with_a_middleware, in_a_mount, held_back, zipped, with_handlers_of_its_own, in_an_app_of_its_own
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "make", [endpoint_that_raises, in_a_thread, streaming, with_work_afterwards, without_a_response]
)
@pytest.mark.parametrize("begun", [False, True], ids=["", "the response has begun"])
@pytest.mark.parametrize("error", [*ERRORS.values(), RuntimeError("r")], ids=[*ERRORS, "with the body"])
def test_the_same_comes_out_of_routes(error, begun, make, routes):
    handlers = HANDLERS | {RuntimeError: with_the_body}
    plain, simple = Router(routes(make(error, begun))), Router(routes(make(error, begun)))
    simplify(simple.routes)
    expected = asyncio.run(told_by(ExceptionMiddleware(plain, handlers=handlers)))
    for _ in range(2):
        assert asyncio.run(told_by(HandledErrors(ExceptionMiddleware(simple, handlers=handlers)))) == expected


def test_an_app_in_itself_and_one_of_another_kind_are_served():
    class Another:
        routes = None

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse("another")(scope, receive, send)

    app = Starlette(routes=[Route("/p", endpoint_that_raises(None, False)), Mount("/another", app=Another())])
    app.mount("/again", app)
    client = TestClient(Seawall(service="test").install(app))
    for path in ("/p", "/again/p", "/again/again/p"):
        assert client.get(path).text == "fine"
    assert client.get("/another").text == "another"


def test_a_request_within_a_request_has_an_answer_of_its_own():
    async def one(app: Starlette, scope: Scope, path: str) -> int:
        statuses: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        await app.router({**scope, "path": path}, receive, send)
        return statuses[0]

    async def batch(request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            for path in ("/known", "/none", "/known"):
                yield f"{await one(request.app, request.scope, path)} "

        return StreamingResponse(parts())

    routes = [
        Route("/batch", batch),
        Route("/known", endpoint_that_raises(KnownError("x"), False)),
        Route("/none", endpoint_that_raises(None, False)),
    ]
    app = Starlette(routes=routes, exception_handlers={KnownError: on_known})
    assert TestClient(Seawall(service="test").install(app)).get("/batch").text == "418 200 418 "


def test_a_route_is_simplified_once_and_serves_without_the_layer_too():
    route = Route("/p", endpoint_that_raises(KnownError("x"), False))
    before = route.app
    simplify([route])
    simpler = route.app
    simplify([route])
    assert before is not simpler is route.app
    answer = TestClient(Starlette(routes=[route], exception_handlers={KnownError: on_known})).get("/p")
    assert (answer.status_code, answer.text) == (418, "known: x at /p")


def middlewares(app: Starlette) -> list[Any]:
    found: list[Any] = [app.build_middleware_stack()]
    while (inside := getattr(found[-1], "app", None)) is not None:
        found.append(inside)
    return [type(each) for each in found]


@pytest.mark.parametrize("make", [FastAPI, Starlette])
def test_what_the_layer_does_already_is_not_in_the_way(make):
    app = Seawall(service="test").install(make())
    kinds = middlewares(app)
    assert SeawallMiddleware in kinds
    assert HandledErrors in kinds
    assert ServerErrorMiddleware not in kinds
    assert ExceptionMiddleware not in kinds


def test_a_page_for_debugging_stays():
    assert ServerErrorMiddleware in middlewares(Seawall(service="test").install(Starlette(debug=True)))


async def broken(request: Any, error: Exception) -> PlainTextResponse:
    raise KeyError("the-inner-detail")


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("handler", [by_hand, by_hand_async])
@pytest.mark.parametrize(
    ("kind", "error", "query"),
    [
        (Exception, ValueError("the-inner-detail"), ""),
        (500, ValueError("the-inner-detail"), ""),
        (HTTPException, HTTPException(400), ""),
        (404, HTTPException(404), ""),
        (SeawallError, NotFoundError("campaign", 7), ""),
        (NotFoundError, NotFoundError("campaign", 7), ""),
        (RequestValidationError, ValueError(), "?number=x"),
    ],
)
def test_a_handler_of_the_apps_own_stays_whether_it_came_before_or_after(before, handler, kind, error, query):
    app = failing(error)
    if before:
        app.add_exception_handler(kind, handler)
    Seawall(service="test").install(app)
    if not before:
        app.add_exception_handler(kind, handler)
    for _ in range(2):
        answer = ask(app, f"/{query}")
        expected = "RequestValidationError" if query else type(error).__name__
        assert (answer.status_code, answer.text) == (418, f"mine: {expected}")
        assert "x-request-id" in answer.headers


def test_a_handler_that_fails_itself_is_an_error_like_another(caplog):
    app = Seawall(service="test").install(failing(ValueError("the-inner-detail")))
    app.add_exception_handler(Exception, broken)
    answer = ask(app, "/")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "the-inner-detail" not in answer.text
    assert "KeyError" in caplog.text


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("root_path", ["", "/api"])
def test_the_layers_own_routes_come_before_the_apps_however_often_it_is_put_together(hidden, root_path):
    app = FastAPI()

    @app.get("/mine")
    async def health() -> None: ...

    @app.get("/{path:path}")
    async def everything(path: str) -> str:
        return path

    @app.put("/{path:path}")
    async def anything(path: str) -> str:
        return path

    Seawall(service="test").install(app)
    app.build_middleware_stack()
    if hidden:
        app.add_middleware(Hiding)
        app.build_middleware_stack()
    client = TestClient(app, root_path=root_path)
    for _ in range(2):
        assert client.get(f"{root_path}/health").json()["service"] == "test"
        assert client.get(f"{root_path}/openapi.json").json()["openapi"]
        assert client.get(f"{root_path}/healthy").json() == "healthy"
        refused = client.post(f"{root_path}/health")
        assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
        assert client.put(f"{root_path}/health").json() == "health"
        assert app.url_path_for("health") == "/mine"
        assert client.get(f"{root_path}/admin/pipelines").status_code in {401, 403, 404}


def test_a_middleware_that_hides_what_is_inside_costs_nothing_but_the_gain():
    app = Seawall(service="test").install(Starlette())
    app.add_middleware(Hiding)
    sent, raised = asyncio.run(told_by(app))
    assert (sent[0]["status"], raised) == (404, "")


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_uploaded_is_closed(fails):
    uploads = []
    app = FastAPI()

    @app.post("/")
    async def endpoint(file: UploadFile) -> int:
        uploads.append(file)
        if fails:
            raise NotFoundError("campaign", 7)
        return len(await file.read())

    Seawall(service="test").install(app)
    for _ in range(3):
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)

        async def post(transport: httpx2.ASGITransport = transport) -> int:
            async with httpx2.AsyncClient(transport=transport, base_url="http://t") as client:
                return (await client.post("/", files={"file": b"x" * 10})).status_code

        assert asyncio.run(post()) == (404 if fails else 200)
        assert uploads[-1].file.closed
