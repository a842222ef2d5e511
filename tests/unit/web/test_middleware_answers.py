"""What the one middleware answers, whatever happens, driven through ASGI."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.background import BackgroundTask
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket

from seawall import Seawall
from seawall.core import correlation, deadline
from seawall.core.correlation import Correlation
from seawall.settings import Settings
from seawall.telemetry.exposition import expose
from seawall.telemetry.metrics import Metrics
from seawall.telemetry.requests import RequestMetrics
from seawall.testing import virtual_time
from seawall.web.layer import Layer, Served
from seawall.web.middleware import SeawallMiddleware
from seawall.web.problems import problem
from tests.unit.web.asgi_client import Answer, Log, ask, hello, layered

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


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


# Apps that use what ASGI allows, or more.


async def told_of(app: Any, timeout: float = 10.0) -> tuple[Answer, list[Served]]:
    log = Log()
    return await ask(SeawallMiddleware(app, layer=Layer(recorders=(log,), timeout=timeout)), "/"), log.served


def test_headers_may_be_anything_one_can_iterate_over():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": iter([(b"x-own", b"1")])})
        await send({"type": "http.response.body", "body": b"x"})

    answer, _ = asyncio.run(told_of(app))
    assert answer.headers.keys() == {"x-own", "x-request-id"}


def test_a_message_that_the_app_uses_again_stays_as_it_is():
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b"x"})

    asyncio.run(told_of(app))
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]}


def test_what_was_recorded_stays_so_whatever_the_app_sends_then():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"more"})

    _, (served,) = asyncio.run(told_of(app))
    assert (served.status, served.size) == (200, 1)


def test_a_file_that_the_server_sends_itself_is_no_error():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 206, "headers": []})
        await send({"type": "http.response.pathsend", "path": __file__})

    _, (served,) = asyncio.run(told_of(app))
    assert served.status == 206


def test_an_app_that_takes_its_deadline_for_an_answer_gets_a_504():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)

    async def main() -> None:
        answer, (served,) = await told_of(app, timeout=0.05)
        assert (answer.status, served.status) == (504, 504)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(main())


@pytest.mark.parametrize("inner", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("outer", [0.05, 0.1, 1.0])
def test_of_two_layers_the_one_whose_time_is_up_answers(outer, inner):
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(10)

    app = SeawallMiddleware(slow, layer=Layer(timeout=inner))
    answer, (served,) = asyncio.run(told_of(app, timeout=outer))
    assert (answer.status, answer.json()["code"], served.status) == (504, "deadline-exceeded", 504)


def test_a_deadline_is_kept_by_the_time_of_the_loop():
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1000)

    answer, _ = virtual_time.run(told_of(slow, timeout=60.0))
    assert answer.status == 504


@pytest.mark.usefixtures("eager_threads")
def test_an_app_may_serve_on_the_loops_of_several_threads():
    """Each request is measured and cut on its own loop, whichever has served the last one."""

    async def endpoint(request: Request) -> Response:
        until, wait = time.monotonic() + 0.002, request.path_params["wait"]
        while time.monotonic() < until:  # threads take turns in here
            left = deadline.remaining()
            assert left is not None
            assert 0.0 < left <= 0.1
        await asyncio.sleep(wait)
        return PlainTextResponse(f"{wait}")

    app, _ = layered(Route("/{wait:int}", endpoint), timeout=0.1)
    answers: list[Answer] = []

    async def main() -> None:
        for _ in range(10):
            answers.extend(await asyncio.gather(*(ask(app, path) for path in ("/0", "/9", "/0"))))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.status for answer in answers] == [200, 504, 200] * 30


@pytest.mark.parametrize("path", ["/well", "/stream", "/error", "/hangs"])
def test_what_was_set_for_a_request_is_as_before_when_it_is_over(path):
    async def error(_request: Request) -> Response:
        raise RuntimeError("broken")

    async def stream(_request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        return StreamingResponse(parts())

    async def hangs(_request: Request) -> Response:
        await asyncio.sleep(10)
        return Response()

    routes = (Route("/well", hello), Route("/error", error), Route("/stream", stream), Route("/hangs", hangs))
    app, _ = layered(*routes, timeout=0.05)

    async def main() -> None:
        with suppress(RuntimeError):  # Starlette's own middleware answers it, and raises it again
            await ask(app, path)
        assert (correlation.current.get(), deadline.current.get()) == (None, deadline.NEVER)
        work = Correlation("mine", TRACE, SPAN)
        correlation.current.set(work)
        with deadline.within(30):
            until = deadline.current.get()
            with suppress(RuntimeError):
                await ask(app, path)
            assert (correlation.current.get(), deadline.current.get()) == (work, until)

    asyncio.run(main())
