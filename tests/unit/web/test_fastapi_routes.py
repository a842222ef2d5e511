"""What FastAPI makes of endpoints, done with less: whatever happens, the same comes out in the same order."""

import asyncio
import contextlib
import gc
import logging
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from textwrap import dedent
from typing import Any, cast

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import FastAPIError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount, Route

from seawall import Seawall
from seawall.web.lean_routes import plainly_with_exits, simplify
from tests.unit.web.fastapi_endpoints import (
    another,
    as_it_streams,
    before_it_streams,
    by_a_function,
    by_what_is_asked,
    directly,
    failing_afterwards,
    in_a_thread,
    in_another_dependency,
    in_the_background,
    in_the_endpoint,
    included,
    mounted,
    passing,
    plain,
    swallowing,
    with_an_exit_of_the_responses_own,
)
from tests.unit.web.raising import ERRORS, HANDLERS, KnownError, told_by, with_the_body

FAILURES = {**ERRORS, "with the body": RuntimeError("r")}
KINDS = [passing, by_a_function, swallowing, another, failing_afterwards]


@pytest.mark.parametrize(
    ("kind", "until", "put"),
    [
        (plain, None, directly),
        *((kind, until, directly) for kind in KINDS for until in ("request", "function")),
        *((passing, until, put) for put in (included, mounted) for until in ("request", "function")),
    ],
)
@pytest.mark.parametrize(
    "build",
    [
        in_the_endpoint, in_a_thread, in_another_dependency, as_it_streams, before_it_streams, in_the_background,
        with_an_exit_of_the_responses_own, by_what_is_asked,
    ],
)  # fmt: skip
def test_the_same_comes_out(kind, until, build, put):
    def outcome(error: BaseException | None, until: Any, ours: bool) -> Any:
        told: list[str] = []
        app = FastAPI(exception_handlers={**HANDLERS, RuntimeError: with_the_body})
        put(app, build(Depends(kind(told), scope=until), error, told))
        if ours:
            simplify(app.routes)
        return [(asyncio.run(told_by(app)), [*told]) for _ in range(2)]

    for name, error in FAILURES.items():
        expected = outcome(error, until, ours=False)
        if expected[0][0][1] == "UnboundLocalError":  # what a dependency swallows that is over before the response
            expected = outcome(error, "request", ours=False)
        assert outcome(error, until, ours=True) == expected, name


def simplified(app: FastAPI) -> FastAPI:
    simplify(app.routes)
    return app


def two_around(told: list[str], until: Any) -> FastAPI:
    app = FastAPI()

    async def endpoint() -> None:
        told.append("endpoint")
        raise KnownError("x")

    around = [Depends(passing(told)), Depends(swallowing(told), scope=until)]
    app.add_api_route("/p", endpoint, dependencies=around)
    return app


@pytest.mark.parametrize("until", ["request", "function"])
def test_what_a_dependency_swallows_is_a_failure_for_those_around_it(until):
    expected: list[str] = []
    asyncio.run(told_by(two_around(expected, until)))
    told: list[str] = []
    _, raised = asyncio.run(told_by(simplified(two_around(told, until))))
    assert told == [event.replace("UnboundLocalError", "FastAPIError") for event in expected]
    assert raised == "FastAPIError"


@pytest.mark.parametrize("until", ["request", "function"])
def test_what_a_dependency_swallows_is_the_cause_of_the_error_that_says_so(until):
    with pytest.raises(FastAPIError, match="a dependency with yield has swallowed the error") as caught:
        TestClient(simplified(two_around([], until))).get("/p")
    assert isinstance(caught.value.__cause__, KnownError)
    assert "KnownError" not in str(caught.value)


class Trying:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            raise LookupError
        except LookupError:
            await self._app(scope, receive, send)


@pytest.mark.parametrize("dependencies", [[], [Depends(passing([]))]], ids=["", "passing"])
def test_an_error_keeps_what_it_came_from(dependencies):
    def chain(app: FastAPI) -> list[str]:
        with pytest.raises(ValueError, match="v") as caught:
            TestClient(app).get("/p")
        found: list[str] = []
        one: BaseException | None = caught.value
        while one is not None:
            found.append(type(one).__name__)
            one = one.__context__
        return found

    def app() -> FastAPI:
        async def endpoint() -> None:
            try:
                raise ZeroDivisionError
            except ZeroDivisionError:
                raise ValueError("v")  # noqa: B904 - from it, but not by its own words

        made = FastAPI()
        made.add_api_route("/p", endpoint, dependencies=dependencies)
        made.add_middleware(Trying)
        return made

    assert chain(simplified(app())) == chain(app()) == ["ValueError", "ZeroDivisionError", "LookupError"]


@pytest.mark.parametrize("streams", [False, True])
def test_a_response_gets_the_scope_of_the_route(streams):
    seen: list[str] = []

    class Seeing(StreamingResponse if streams else PlainTextResponse):  # type: ignore[misc]
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            await super().__call__(scope, receive, send)

    app = FastAPI()

    @app.get("/p", response_class=Seeing)
    async def endpoint(request: Request) -> Any:
        request.scope = {**request.scope, "path": "/other"}
        return Seeing("x")

    assert TestClient(simplified(app)).get("/p").text == "x"
    assert seen == ["/p"]


def test_a_response_that_somebody_has_changed_may_fail_before_it_begins(monkeypatch):
    usual = Response.__call__

    async def failing(self: Response, *given: Any) -> None:
        if isinstance(self, PlainTextResponse):
            raise KnownError("x")
        await usual(self, *given)

    async def on_known(request: Request, error: Exception) -> Response:
        return JSONResponse("known", 400)

    app = FastAPI(exception_handlers={KnownError: on_known})
    app.add_api_route("/p", lambda: PlainTextResponse("fine"))
    monkeypatch.setattr(Response, "__call__", failing)
    assert TestClient(simplified(app)).get("/p").status_code == 400


def refuse() -> None:
    raise HTTPException(401)


def test_what_the_app_adds_to_its_routes_as_it_starts_is_heeded():
    router = APIRouter()
    router.add_api_route("/secret", lambda: "secret")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for route in router.routes:
            cast(APIRoute, route).dependencies.append(Depends(refuse))
        yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(router, prefix="/v1")
    Seawall(service="test").install(app)
    with TestClient(app) as client:
        assert client.get("/v1/secret").status_code == 401


def test_a_route_that_is_broken_or_unusual_leaves_the_others_alone():
    class Unusual(Route):
        def __init__(self) -> None:
            pass

        @property
        def app(self) -> Any:  # type: ignore[override]
            raise AssertionError

        def matches(self, scope: Any) -> Any:
            return Match.NONE, {}

    router = APIRouter()
    router.add_api_route("/{id}", lambda id: id)  # noqa: A006
    app = FastAPI()
    app.routes.append(Unusual())
    app.add_api_route("/fine", lambda: "fine")
    app.include_router(router, prefix="/{id}")  # twice the same name
    app = Seawall(service="test").install(app)
    assert TestClient(app).get("/fine").text == '"fine"'


def kind_of(route: Any) -> bool:
    return str(route.app.__qualname__).startswith(plainly_with_exits.__name__)


def test_which_routes_are_done_with_less():
    async def endpoint() -> str:
        return "fine"

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    class Own(APIRoute):
        def get_route_handler(self) -> Any:
            usual = super().get_route_handler()

            async def handler(request: Request) -> Any:
                response = await usual(request)
                response.headers["x-own"] = "yes"
                return response

            return handler

    app, inner, inside = FastAPI(), APIRouter(route_class=Own), FastAPI()
    app.add_api_route("/direct", endpoint)
    inner.add_api_route("/included", endpoint)
    inner.routes.append(Route("/page", page))
    app.include_router(inner, prefix="/v1")
    inside.add_api_route("/p", endpoint)
    app.mount("/mounted", inside)
    Seawall(service="test").install(app)
    client = TestClient(app)
    assert client.get("/v1/included").headers["x-own"] == "yes"
    assert [client.get(path).text for path in ("/direct", "/mounted/p", "/v1/page")] == ['"fine"', '"fine"', "page"]
    direct = next(route for route in app.routes if getattr(route, "path", "") == "/direct")
    within = next(route for route in app.routes if hasattr(route, "effective_candidates")).effective_candidates()
    mount = next(route for route in app.routes if isinstance(route, Mount) and route.path == "/mounted")
    assert kind_of(direct)
    assert kind_of(within[0])
    assert within[1].starlette_route.app.__qualname__.startswith("plainly.")
    assert kind_of(next(route for route in mount.routes if getattr(route, "path", "") == "/p"))


def test_what_somebody_else_has_put_around_an_endpoint_stays():
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> str:
        return "fine"

    class Around:  # as wrapt's
        def __init__(self, app: Any) -> None:
            self._app, self.__code__, self.__closure__ = app, app.__code__, app.__closure__

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self._app(scope, receive, send)

    route: Any = app.routes[-1]
    route.app = around = Around(route.app)
    simplify(app.routes)
    assert route.app is around
    assert TestClient(app).get("/").text == '"fine"'


@pytest.mark.parametrize("library", ["starlette", "fastapi"])
def test_what_somebody_else_makes_of_all_endpoints_stays(library):
    code = f"""
        import {library}.routing as routing
        def request_response(f):
            async def app(scope, receive, send):
                await f(scope)
            return app
        routing.request_response = request_response
        from seawall.web.lean_routes import _AGAIN
        print(*(again.__name__ for again in _AGAIN.values()))
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plainly_with_exits" if library == "starlette" else "plainly"]


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize("yields", [False, True])
def test_an_error_is_gone_when_it_is_answered(yields, installed, monkeypatch):
    gone: list[weakref.ref[BaseException]] = []

    class WeakError(ValueError):
        pass

    async def dependency() -> AsyncIterator[None]:
        yield

    app = FastAPI()

    @app.get("/p", dependencies=[Depends(dependency)] if yields else [])
    async def endpoint() -> None:
        error = WeakError()
        gone.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    if installed:
        monkeypatch.setattr(logging.getLogger("seawall.web"), "disabled", True)  # pytest keeps what it logs
        Seawall(service="test").install(app)
    simplified(app)
    gc.collect()
    gc.disable()
    try:
        sent, raised = asyncio.run(told_by(app))
        assert (sent[0]["status"], raised) == (500, "" if installed else "WeakError")
        assert gone[0]() is None
    finally:
        gc.enable()
