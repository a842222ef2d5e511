"""The layer on an app, spoken to through ASGI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from seawall import Seawall
from seawall.core import Health, Status, deadline
from seawall.resilience import CircuitBreaker, RateLimit, Retry, Timeout
from seawall.settings import Settings
from seawall.web.own_routes import OwnRoutes

SECRET = "the-inner-detail"
TOKEN = "a-token-of-16-ch"


class Probe:
    def __init__(self, name: str, journal: list[str], *, fails: bool = False) -> None:
        self.name = name
        self.journal = journal
        self.fails = fails
        self.health = Health(status=Status.HEALTHY)

    async def __aenter__(self) -> "Probe":
        if self.fails:
            message = f"{self.name} can't start"
            raise RuntimeError(message)
        self.journal.append(f"start {self.name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.journal.append(f"stop {self.name}")

    async def check(self) -> Health:
        return self.health


@asynccontextmanager
async def client(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        yield http


def ask(app: Any, path: str, method: str = "GET", **options: Any) -> httpx2.Response:
    async def once() -> httpx2.Response:
        async with client(app) as http:
            return await http.request(method, path, **options)

    return asyncio.run(once())


@pytest.fixture
def sea() -> Seawall:
    return Seawall(service="test", settings=Settings(admin_token=TOKEN, request_timeout=0.2))


@pytest.fixture
def app(sea: Seawall) -> FastAPI:
    app = FastAPI()
    limited = RateLimit(1, per=60.0, name="limited")

    @app.get("/left")
    async def left() -> float | None:
        return deadline.remaining()

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(5)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError(SECRET)

    @app.get("/limited")
    @limited
    async def once_a_minute() -> str:
        return "once"

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", {"X-Pot": "tea"})

    @app.get("/odd")
    async def odd() -> None:
        raise HTTPException(499, {"why": "closed"})

    @app.get("/streams")
    async def streams() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "begun "
            await asyncio.sleep(0.4)
            yield f"{deadline.remaining()}"

        return StreamingResponse(parts())

    @app.get("/breaks-off")
    async def breaks_off() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begun"
            raise RuntimeError(SECRET)

        return StreamingResponse(parts())

    return sea.install(app)


def test_unexpected_error_tells_an_id_and_nothing_else(app, caplog):
    answer = ask(app, "/broken")
    body = answer.json()
    assert (answer.status_code, body["type"]) == (500, "urn:seawall:problem:internal")
    assert SECRET not in answer.text
    assert body["error_id"] in {getattr(record, "error_id", None) for record in caplog.records}
    assert answer.headers["x-request-id"]


def test_rejection_tells_when_to_come_back(app):
    async def twice() -> httpx2.Response:
        async with client(app) as http:
            assert (await http.get("/limited")).json() == "once"
            return await http.get("/limited")

    answer = asyncio.run(twice())
    assert answer.status_code == 429
    assert answer.json()["type"] == "urn:seawall:problem:rate-limited"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_http_exception_keeps_status_detail_and_headers(app):
    answer = ask(app, "/teapot")
    assert (answer.status_code, answer.json()["detail"], answer.headers["x-pot"]) == (418, "short and stout", "tea")
    assert answer.headers["content-type"] == "application/problem+json"


def test_error_after_the_response_has_begun_ends_the_connection(app):
    answer = ask(app, "/breaks-off")
    assert (answer.status_code, answer.text) == (200, "begun")


def test_response_that_has_begun_may_take_its_time(app):
    assert ask(app, "/streams").text == "begun None"


def test_status_and_detail_of_any_kind_make_a_problem(app):
    answer = ask(app, "/odd")
    assert (answer.status_code, answer.json()["errors"]) == (499, {"why": "closed"})


def test_catch_all_route_hides_no_health(sea):
    app = FastAPI()

    @app.get("/{path:path}")
    async def spa(path: str) -> str:
        return path

    sea.install(app)
    assert ask(app, "/health").json()["service"] == "test"
    assert ask(app, "/other").json() == "other"


def test_every_app_is_installed_on(sea):
    for _ in range(100):
        assert [type(route) for route in sea.install(FastAPI()).routes].count(OwnRoutes) == 1


def test_two_breakers_of_one_name_are_refused_and_one_may_be_shared(sea):
    shared = CircuitBreaker("db")
    sea.pipeline("one", shared)
    sea.pipeline("two", shared)
    with pytest.raises(ValueError, match="another circuit breaker 'db'"):
        sea.pipeline("three", CircuitBreaker("db"))
    assert list(sea.pipelines) == ["one", "two"]


@pytest.mark.parametrize("first", [True, False])
def test_no_pipeline_has_a_breaker_of_the_name_of_the_layers_own(first):
    sea = Seawall(service="test", settings=Settings(redis_url="redis://127.0.0.1:1"))

    def of_the_service() -> None:
        sea.pipeline("answers", CircuitBreaker("cache"))

    def of_the_layer() -> None:
        assert sea.cache.tier

    made, refused = (of_the_service, of_the_layer) if first else (of_the_layer, of_the_service)
    made()
    with pytest.raises(ValueError, match="circuit breaker 'cache'"):
        refused()
    assert list(sea.breakers) == ["cache"]


def test_what_is_inside_is_not_told_to_callers(app):
    async def twice() -> httpx2.Response:
        async with client(app) as http:
            await http.get("/limited")
            return await http.get("/limited")

    assert "detail" not in asyncio.run(twice()).json()


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [(None, 0.1, 0.2), ("0.05", 0.0, 0.05), ("60", 0.1, 0.2), ("soon", 0.1, 0.2), ("-1", 0.1, 0.2), ("nan", 0.1, 0.2)],
)
def test_request_has_a_deadline_that_its_caller_can_only_shorten(app, header, least, most):
    headers = {} if header is None else {"Request-Timeout": header}
    assert least <= ask(app, "/left", headers=headers).json() <= most


def test_request_is_cut_at_its_deadline(app):
    answer = ask(app, "/slow")
    assert (answer.status_code, answer.json()["type"]) == (504, "urn:seawall:problem:deadline-exceeded")


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é"])
def test_request_id_that_could_harm_a_log_is_replaced(app, given):
    answer = ask(app, "/health", headers={b"x-request-id": given.encode()})
    assert len(answer.headers["x-request-id"]) == 32


def test_admin_api_is_off_without_a_token():
    app = Seawall(service="test").install(FastAPI())
    answer = ask(app, "/admin/breakers", headers={"Authorization": "Bearer None"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:seawall:problem:admin-off")


def test_breakers_are_steered_by_name(sea, app):
    sea.pipeline("openai", Retry(on=OSError), CircuitBreaker(), Timeout(1.0))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(app, "/admin/breakers/openai/open", "POST", headers=headers).json()["state"] == "open"
    assert sea.breakers["openai"].state == "open"
    assert ask(app, "/admin/breakers/openai/close", "POST", headers=headers).json()["state"] == "closed"


def test_parts_start_in_order_and_stop_in_reverse(sea, app):
    journal: list[str] = []
    for name in ("a", "b"):
        sea.add(Probe(name, journal))
    ask(app, "/health")
    assert journal == ["start a", "start b", "stop b", "stop a"]


def test_part_that_cannot_start_stops_those_before_it(sea, app):
    journal: list[str] = []
    sea.add(Probe("a", journal))
    sea.add(Probe("b", journal, fails=True))
    with pytest.raises(RuntimeError, match="b can't start"):
        ask(app, "/health")
    assert journal == ["start a", "stop a"]


@pytest.mark.parametrize(("status", "code"), [(Status.HEALTHY, 200), (Status.DEGRADED, 200), (Status.UNHEALTHY, 503)])
def test_readiness_follows_the_worst_part(sea, app, status, code):
    well, ill = Probe("well", []), Probe("ill", [])
    ill.health = Health(status=status, message="why")
    sea.add(well)
    sea.add(ill)
    answer = ask(app, "/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert ask(app, "/health").status_code == 200


def test_not_ready_before_the_start(app):
    async def without_lifespan() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            return await http.get("/health/ready")

    assert asyncio.run(without_lifespan()).status_code == 503


def test_install_twice_changes_nothing(sea, app):
    routes = len(app.router.routes)
    assert sea.install(app) is app
    assert len(app.router.routes) == routes


def test_works_on_starlette_with_a_lifespan_of_its_own():
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, str]]:
        seen.append("up")
        yield {"state": "kept"}
        seen.append("down")

    async def state(request: Request) -> PlainTextResponse:
        return PlainTextResponse("here")

    app = Seawall(service="test").install(Starlette(routes=[Route("/", state)], lifespan=lifespan))
    assert ask(app, "/").text == "here"
    assert seen == ["up", "down"]
    assert ask(app, "/nowhere").json()["status"] == 404


def test_two_pipelines_of_one_name_are_refused(sea):
    sea.pipeline("one", Timeout(1.0))
    with pytest.raises(ValueError, match="there is a pipeline 'one' already"):
        sea.pipeline("one", Timeout(1.0))


def test_resilience_switched_off_leaves_calls_as_they_are():
    sea = Seawall(service="test", settings=Settings(resilience=False))

    async def call() -> None: ...

    assert sea.pipeline("one", Timeout(1.0))(call) is call


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"])
def test_the_pages_of_fastapi_are_where_they_were(path):
    app = Seawall(service="test").install(FastAPI())
    assert [ask(app, path).status_code, ask(app, path, "POST").status_code] == [200, 405]
    outer = Starlette(routes=[Mount("/api", app)])
    assert ask(outer, f"/api{path}").status_code == 200
    without = Seawall(service="test").install(FastAPI(openapi_url=None))
    assert ask(without, path).status_code == 404


def test_the_pages_of_fastapi_may_begin_like_the_path_they_are_served_under():
    app = Seawall(service="test").install(FastAPI(docs_url="/api-docs", openapi_url="/api.json"))

    async def once() -> list[int]:
        transport = httpx2.ASGITransport(app=app, root_path="/api")
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            return [
                (await http.get(path)).status_code for path in ("/api-docs", "/api.json", "/api/api-docs", "/api/x")
            ]

    assert asyncio.run(once()) == [200, 200, 200, 404]


def test_a_page_of_the_app_may_take_the_place_of_one_of_fastapi():
    app = Seawall(service="test").install(FastAPI(docs_url=None))

    @app.get("/docs")
    def docs() -> str:
        return "mine"

    assert ask(app, "/docs").json() == "mine"
