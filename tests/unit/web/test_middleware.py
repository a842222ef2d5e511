"""What the one middleware does for a request, driven through ASGI: its route, its ids, its bounds."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from seawall import Seawall
from seawall.core import correlation, deadline
from seawall.resilience import AIMD, AdaptiveLimit
from seawall.settings import Settings
from seawall.web.layer import Layer
from seawall.web.middleware import SeawallMiddleware
from tests.unit.web.asgi_client import Log, ask, hello, layered

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


# Which route it was.


def an_app() -> FastAPI:
    things = APIRouter(prefix="/things")

    @things.get("/{id}")
    async def thing(id: int) -> int:  # noqa: A002
        return id

    v1 = APIRouter(prefix="/v1")
    v1.include_router(things)
    tenant = FastAPI()

    @tenant.get("/reports/{name}")
    async def report(name: str) -> str:
        return name

    app = FastAPI()
    app.include_router(v1, prefix="/api")
    app.mount("/plain", Starlette(routes=[Route("/hello/{n}", hello), Mount("/deep", routes=[Route("/{x}", hello)])]))
    app.mount("/tenants/{tenant}", tenant)
    app.mount("/static", StaticFiles(directory="/usr/share"))

    @app.get("/")
    async def root() -> str:
        return "root"

    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/", 200, "/"),
        ("GET", "/api/v1/things/3", 200, "/api/v1/things/{id}"),
        ("GET", "/api/v1/things/none", 422, "/api/v1/things/{id}"),
        ("POST", "/api/v1/things/3", 405, "/api/v1/things/{id}"),
        ("HEAD", "/", 405, "/"),
        ("HEAD", "/plain/hello/3", 200, "/plain/hello/{n}"),
        ("GET", "/plain/deep/3", 200, "/plain/deep/{x}"),
        ("GET", "/tenants/acme/reports/may", 200, "/tenants/{tenant}/reports/{name}"),
        ("GET", "/tenants/acme/nothing", 404, "/tenants/{tenant}/*"),
        ("GET", "/plain/nothing", 404, "/plain/*"),
        ("GET", "/static/nothing.txt", 404, "/static/*"),
        ("GET", "/nothing/4711", 404, "(unmatched)"),
        ("GET", "/docs", 200, "/docs"),
        ("GET", "/api/v1/things/3/", 307, "(unmatched)"),
    ],
)
@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
def test_requests_are_told_apart_by_the_template_of_their_route(method, path, status, route, root):
    log = Log()
    app = SeawallMiddleware(an_app(), layer=Layer(recorders=(log,)))
    answer = asyncio.run(ask(app, path, method, root_path=root))
    [served] = log.served
    assert (answer.status, served.status, served.route, served.method) == (status, status, route, method)
    assert served.path == root + path


# What a request is called.


async def names(request: Request) -> PlainTextResponse:
    work = correlation.current.get()
    assert work is not None
    return PlainTextResponse(f"{work.request_id} {work.trace_id} {work.span_id} {work.trace_state}")


def test_a_callers_ids_are_taken_over_and_ours_go_back():
    app, log = layered(Route("/", names))
    headers = {"X-Request-ID": "find-me", "traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1"}
    answer = asyncio.run(ask(app, "/", headers=headers))
    request_id, trace_id, span_id, state = answer.body.decode().split(" ")
    assert (request_id, trace_id, state) == ("find-me", TRACE, "a=1")
    assert span_id != SPAN
    assert answer.headers["x-request-id"] == "find-me"
    assert log.served[0].correlation.sampled


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\x1b[31m", "ü", "a,b"])
def test_an_id_that_could_do_harm_is_replaced(given):
    app, _ = layered(Route("/", names))
    answer = asyncio.run(ask(app, "/", headers={"x-request-id": given}))
    request_id, trace_id, *_ = answer.body.decode().split(" ")
    assert request_id == trace_id == answer.headers["x-request-id"]
    assert len(trace_id) == 32


def test_each_request_has_ids_of_its_own_and_none_are_left_behind():
    app, _ = layered(Route("/", names))

    async def main() -> set[bytes]:
        answers = await asyncio.gather(*(ask(app, "/") for _ in range(50)))
        assert correlation.current.get() is None
        assert deadline.remaining() is None
        return {answer.body for answer in answers}

    assert len(asyncio.run(main())) == 50


# Bounds.


async def read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ([b"x" * 100], {"content-length": "100"}, 200),
        ([b"x" * 101], {"content-length": "101"}, 413),
        ([b"x" * 60, b"x" * 40], {}, 200),
        ([b"x" * 60, b"x" * 41], {}, 413),
        ([b"x" * 60, b"x" * 41], {"content-length": "1"}, 413),
        ([b"x" * 60], {"content-length": "nonsense"}, 200),
    ],
)
def test_a_body_may_be_only_so_large_however_it_comes(body, headers, status):
    app, log = layered(Route("/", read, methods=["POST"]), body_limit=100)
    answer = asyncio.run(ask(app, "/", "POST", body=body, headers=headers))
    assert (answer.status, log.served[0].status) == (status, status)


def test_fastapi_answers_a_body_that_is_too_large_the_same_way():
    app = FastAPI()

    @app.post("/")
    async def take(body: dict[str, str]) -> None: ...

    sea = Seawall(service="test", settings=Settings(body_limit=100))
    answer = asyncio.run(ask(sea.install(app), "/", "POST", body=[b'{"a":"', b"x" * 100, b'"}']))
    assert (answer.status, answer.json()["status"]) == (413, 413)
    assert "100 bytes" in answer.json()["detail"]


def test_load_is_shed_but_probes_are_answered():
    limit = AdaptiveLimit(AIMD(initial=2), name="requests")
    go = asyncio.Event()

    async def slow(request: Request) -> PlainTextResponse:
        await go.wait()
        return PlainTextResponse("done")

    app, log = layered(
        Route("/slow", slow), Route("/health", hello), admission=limit, exempt=frozenset({"/health"})
    )  # fmt: skip

    async def main() -> None:
        running = [asyncio.create_task(ask(app, "/slow")) for _ in range(2)]
        await asyncio.sleep(0)
        shed = await ask(app, "/slow")
        assert (shed.status, shed.headers["retry-after"]) == (503, "1")
        assert shed.headers["content-type"] == "application/problem+json"
        assert (await ask(app, "/health")).status == 200
        go.set()
        assert [(await one).status for one in running] == [200, 200]
        assert (await ask(app, "/slow")).status == 200
        assert limit.statistics().running == 0
        assert log.active == 0

    asyncio.run(main())


def test_a_stream_gives_its_permit_back_when_it_begins():
    limit = AdaptiveLimit(AIMD(initial=1), name="requests")

    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            yield b"one"
            assert limit.statistics().running == 0
            yield b"two"

        return StreamingResponse(parts())

    app, _ = layered(Route("/", stream), admission=limit)
    assert asyncio.run(ask(app, "/")).body == b"onetwo"


def test_load_shedding_hears_which_requests_took_too_long():
    told: list[bool] = []

    class Admitting:
        def admit(self) -> Callable[[bool], None]:
            return told.append

    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(request.path_params["seconds"])
        return PlainTextResponse("done")

    app, _ = layered(Route("/{seconds:int}", slow), admission=Admitting(), timeout=0.05)
    assert [asyncio.run(ask(app, f"/{seconds}")).status for seconds in (10, 0)] == [504, 200]
    assert told == [True, False]
