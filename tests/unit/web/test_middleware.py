"""What the one middleware does for a request, driven through ASGI."""

import asyncio
import gc
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Message
from starlette.websockets import WebSocket

from seawall import Seawall
from seawall.core import correlation, deadline
from seawall.core.correlation import Correlation
from seawall.resilience import AIMD, AdaptiveLimit
from seawall.settings import Settings
from seawall.telemetry.exposition import expose
from seawall.telemetry.metrics import Metrics
from seawall.telemetry.requests import RequestMetrics
from seawall.web.layer import Layer, Served
from seawall.web.middleware import SeawallMiddleware
from seawall.web.problems import problem

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Log:
    """A recorder."""

    active: int = 0
    served: list[Served] = field(default_factory=list)

    def began(self) -> None:
        self.active += 1

    def ended(self, served: Served) -> None:
        self.active -= 1
        self.served.append(served)


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any,
    path: str,
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    body: list[bytes] | None = None,
    leave_after: int | None = None,
    root_path: str = "",
) -> Answer:
    """One request. leave_after: the client goes away after so many messages of the answer."""
    answer, left = Answer(), asyncio.Event()
    parts = list(body or [b""])

    async def receive() -> Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
        await left.wait()
        return {"type": "http.disconnect"}

    sent = 0

    async def send(message: Message) -> None:
        nonlocal sent
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body", False)
        sent += 1
        if sent == leave_after:
            left.set()

    scope = {
        "type": "http", "method": method, "path": root_path + path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "root_path": root_path, "scheme": "http", "client": ("192.0.2.7", 1), "server": ("test", 80),
        "http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    await app(scope, receive, send)
    return answer


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def layered(*routes: Any, **options: Any) -> tuple[Any, Log]:
    log = Log()
    return SeawallMiddleware(Starlette(routes=list(routes)), layer=Layer(recorders=(log,), **options)), log


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


# Answers, whatever happens.


def serve_with(endpoint: Callable[[Request], Any], **options: Any) -> tuple[Answer, Served]:
    app, log = layered(Route("/", endpoint), **options)
    answer = asyncio.run(ask(app, "/"))
    assert log.active == 0
    return answer, log.served[0]


def test_headers_are_added_where_the_app_has_not_set_them():
    async def own(request: Request) -> PlainTextResponse:
        return PlainTextResponse("x", headers={"X-Frame-Options": "SAMEORIGIN"})

    headers = ((b"x-frame-options", b"DENY"), (b"x-content-type-options", b"nosniff"))
    answer, _ = serve_with(own, headers=headers)
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("response", "shown"), [(PlainTextResponse("x"), True), (JSONResponse({}), False), (problem(404), False)]
)
def test_what_is_for_pages_alone_is_not_added_to_json(response: Response, shown: bool):
    async def own(request: Request) -> Response:
        return response

    page = ((b"referrer-policy", b"no-referrer"),)
    answer, _ = serve_with(own, headers=((b"x-frame-options", b"DENY"),), page_headers=page)
    assert answer.headers["x-frame-options"] == "DENY"
    assert ("referrer-policy" in answer.headers) is shown


def test_too_late_is_a_504_and_the_next_request_is_not_touched():
    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(20)
        return PlainTextResponse("never")

    app, log = layered(Route("/slow", slow), Route("/", hello), timeout=0.05)

    async def main() -> None:
        late = await ask(app, "/slow")
        assert (late.status, late.json()["code"]) == (504, "deadline-exceeded")
        shorter = await ask(app, "/slow", headers={"request-timeout": "0.01"})
        assert "0.01 s" in shorter.json()["detail"]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert (await ask(app, "/")).status == 200
        assert [served.status for served in log.served] == [504, 504, 200]

    asyncio.run(main())


def test_a_stream_may_last_longer_than_the_deadline():
    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            for _ in range(3):
                yield b"x"
                await asyncio.sleep(0.04)

        return StreamingResponse(parts())

    answer, served = serve_with(stream, timeout=0.05)
    assert (answer.body, answer.complete, served.status) == (b"xxx", True, 200)
    assert served.seconds > 0.1
    assert served.size == 3


def test_time_in_the_background_is_not_the_answers():
    async def later() -> None:
        await asyncio.sleep(0.1)

    async def quick(request: Request) -> PlainTextResponse:
        return PlainTextResponse("x", background=BackgroundTask(later))

    _, served = serve_with(quick)
    assert served.seconds < 0.08


def test_a_client_who_leaves_in_the_middle_is_a_499():
    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)

        return StreamingResponse(parts())

    app, log = layered(Route("/", stream))
    answer = asyncio.run(ask(app, "/", leave_after=3))
    assert not answer.complete
    assert (log.served[0].status, log.active) == (499, 0)


def test_an_error_in_the_middle_ends_the_connection_and_is_a_500():
    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            yield b"x"
            raise ValueError("inner")

        return StreamingResponse(parts())

    app, log = layered(Route("/", stream))
    with pytest.raises((ValueError, ExceptionGroup)):
        asyncio.run(ask(app, "/"))
    assert (log.served[0].status, log.active) == (500, 0)


def test_a_cancelled_request_is_told_why_and_stays_cancelled():
    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(20)
        return PlainTextResponse("never")

    app, log = layered(Route("/", slow))
    answers: list[Message] = []

    async def main() -> None:
        task = asyncio.create_task(ask(app, "/"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (log.served[0].status, log.active) == (503, 0)

    asyncio.run(main())
    assert not answers


def test_what_the_layer_answers_can_be_read_by_a_page_of_another_origin():
    app = FastAPI()

    @app.get("/")
    async def fail() -> None:
        raise ValueError("inner")

    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
    Seawall(service="test", settings=Settings()).install(app)
    answer = asyncio.run(ask(app, "/", headers={"origin": "https://app.example"}))
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (500, "https://app.example")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "inner" not in answer.body.decode()


def test_a_websocket_has_ids_and_no_deadline():
    seen: list[Correlation | None] = []

    async def talk(websocket: WebSocket) -> None:
        seen.append(correlation.current.get())
        assert deadline.remaining() is None
        await websocket.accept()
        await websocket.close()

    metrics = Metrics()
    app, _ = layered(WebSocketRoute("/ws/{job}", talk), sockets=(RequestMetrics(metrics),))

    async def main() -> None:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            messages.append(message)

        scope = {
            "type": "websocket", "path": "/ws/3", "raw_path": b"/ws/3", "query_string": b"", "root_path": "",
            "headers": [(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())], "subprotocols": [], "asgi": {},
            "scheme": "ws", "client": ("192.0.2.7", 1), "server": ("test", 80),
        }  # fmt: skip
        await app(scope, receive, send)
        assert [message["type"] for message in messages] == ["websocket.accept", "websocket.close"]

    asyncio.run(main())
    assert seen[0] is not None
    assert seen[0].trace_id == TRACE
    text = expose(metrics).decode()
    assert 'websocket_connection_duration_seconds_count{route="/ws/{job}"} 1' in text
    assert "websocket_connections_active 0" in text


def test_a_request_leaves_no_garbage():
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = SeawallMiddleware(SeawallMiddleware(inner, layer=Layer()), layer=Layer())

    async def main() -> int:
        async def nothing(*_: Any) -> Any:
            return None

        for _ in range(20):
            await app({"type": "http", "method": "GET", "path": "/", "headers": []}, nothing, nothing)
        return gc.collect()

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(main()) < 20, "each keeps itself until garbage is collected"
    finally:
        gc.enable()
