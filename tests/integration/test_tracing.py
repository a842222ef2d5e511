"""One trace over two services, as a loopback collector gets it by OTLP; and what becomes of services without one."""

import asyncio
import io
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import requests
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from seawall import Seawall
from seawall.app import tracing
from seawall.resilience import Retry
from seawall.resilience.http import ResponseError
from seawall.resilience.httpx2 import PipelineTransport
from seawall.resilience.requests import PipelineAdapter
from seawall.settings import Settings
from seawall.telemetry.logs import Logs
from seawall.telemetry.opentelemetry import MOST_WAITING, OpenTelemetrySpans
from seawall.telemetry.tracing import Span, traced
from tests.receivers import Collector

SECRET = "hunter2-hunter2"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def written() -> Iterator[tuple[Logs, Callable[[], list[dict[str, Any]]]]]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    logs = Logs(stream=stream)

    def lines() -> list[dict[str, Any]]:
        assert logs.sink.flush()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield logs, lines
    logs.close()
    root.handlers[:], root.level = before


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def settings(collector: Collector, **options: Any) -> Settings:
    return Settings(**{"otlp_endpoint": collector.url, "trace_sample_rate": 1.0, **options})


def prices(collector: Collector) -> FastAPI:
    """The second service; fails every first request for a path."""
    sea = Seawall(service="prices", settings=settings(collector, trace_sample_rate=0.0))
    app = FastAPI()
    asked: set[str] = set()

    @app.get("/prices/{number}")
    async def price(number: str) -> str:
        if number not in asked:
            asked.add(number)
            raise RuntimeError(SECRET)
        logging.getLogger("prices").warning("told")
        return "9.99"

    return sea.install(app)


def shop(collector: Collector, logs: Logs, upstream: str, folder: Any) -> FastAPI:
    url = f"sqlite:///{folder}/shop.db"
    sea = Seawall(service="shop", settings=settings(collector, database_url=url), logs=logs)
    retry = Retry(on=ResponseError, first_delay=0.0)
    client = httpx2.AsyncClient(transport=PipelineTransport(sea.pipeline("prices", retry)))
    session = requests.Session()
    session.mount("http://", PipelineAdapter(sea.pipeline("blocking", retry)))
    app = FastAPI()
    database, cache = sea.database, sea.cache

    @traced
    async def stored(number: int) -> int:
        async with database.session() as open_session:
            result = await open_session.execute(text(f"SELECT '{SECRET}', :number"), {"number": number})
            return len(result.all())

    @app.get("/goods/{number}")
    async def good(number: int) -> Any:
        logging.getLogger("shop").warning("asked")
        await cache.get_or_set(f"goods:{number}", lambda: stored(number))
        return (await client.get(f"{upstream}/prices/{number}?key={SECRET}")).json()

    @app.get("/blocking/{number}")
    def blocking(number: str) -> Any:
        return session.get(f"{upstream}/prices/{number}").json()

    return sea.install(app)


def test_one_trace_goes_through_two_services(collector, written, tmp_path):
    logs, lines = written
    with serving(prices(collector)) as upstream, serving(shop(collector, logs, upstream, tmp_path)) as url:
        answer = httpx2.get(f"{url}/goods/7?secret={SECRET}")
        assert answer.json() == "9.99"
        metrics = httpx2.get(f"{url}/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}).text
    trace_id = answer.headers["x-request-id"]
    spans = [span for span in collector.spans if span.trace_id == trace_id]
    by_name = {(span.service, span.name): span for span in spans}
    request = by_name["shop", "GET /goods/{number}"]
    assert (request.parent_id, request.kind, collector.paths) == ("", 2, {"/v1/traces"})

    calls = sorted(collector.named("GET", "shop"), key=lambda span: span.start)
    answers = sorted(collector.named("GET /prices/{number}", "prices"), key=lambda span: span.start)
    attempts = sorted(collector.named("attempt prices", "shop"), key=lambda span: span.start)
    assert [span.parent_id for span in attempts] == [request.span_id] * 2
    assert [span.parent_id for span in calls] == [span.span_id for span in attempts]
    assert [span.parent_id for span in answers] == [span.span_id for span in calls]
    assert [span.failed for span in attempts] == [True, False]
    assert [span.attributes["http.response.status_code"] for span in calls] == [500, 200]
    assert [(span.failed, span.attributes.get("error.type")) for span in answers] == [
        (True, "RuntimeError"),
        (False, None),
    ]
    assert calls[1].attributes["http.request.resend_count"] == 1

    load = by_name["shop", "cache load default"]
    function = next(span for span in spans if span.name.endswith("stored"))
    statement = by_name["shop", "SELECT"]
    assert (load.parent_id, function.parent_id) == (request.span_id, request.span_id)
    assert statement.parent_id == function.span_id
    assert statement.attributes["db.system.name"] == "sqlite"
    for span in (load, function, statement, *calls):
        assert request.start <= span.start <= span.end <= request.end + 5_000_000
    assert not any(SECRET.encode() in body for body in collector.bodies)

    told = {(line["logger"], line["trace_id"]) for line in lines() if line["logger"] in {"shop", "prices"}}
    assert told == {("shop", trace_id), ("prices", trace_id)}
    assert re.search(rf'http_request_duration_seconds_bucket.*trace_id="{trace_id}"', metrics)


def test_requests_that_block_are_in_the_trace_too(collector, written, tmp_path):
    logs, _ = written
    with serving(prices(collector)) as upstream, serving(shop(collector, logs, upstream, tmp_path)) as url:
        assert httpx2.get(f"{url}/blocking/a").json() == "9.99"
    (request,) = collector.named("GET /blocking/{number}")
    calls = sorted(collector.named("GET", "shop"), key=lambda span: span.start)
    attempts = sorted(collector.named("attempt blocking", "shop"), key=lambda span: span.start)
    assert [span.parent_id for span in attempts] == [request.span_id] * 2
    assert [span.parent_id for span in calls] == [span.span_id for span in attempts]
    parents = {span.parent_id for span in collector.named("GET /prices/{number}")}
    assert parents == {span.span_id for span in calls}


def test_a_share_of_the_requests_is_recorded_and_the_rest_not_at_all(collector):
    sea = Seawall(service="share", settings=settings(collector, trace_sample_rate=0.5))
    with serving(sea.install(FastAPI())) as url, httpx2.Client() as client:
        for _ in range(100):
            client.get(f"{url}/health")
    assert 25 < len(collector.spans) < 75


@pytest.mark.parametrize("trouble", ["away", "slow", "failing", "refusing"])
def test_requests_do_not_notice_what_ails_the_collector(collector, trouble, caplog, monkeypatch):
    monkeypatch.setattr(tracing, "CLOSING", 0.5)
    collector.delay = 30.0 if trouble == "slow" else 0.0
    collector.status = {"failing": 503, "refusing": 400}.get(trouble, 200)
    options = {"otlp_endpoint": "http://127.0.0.1:9"} if trouble == "away" else {}
    sea = Seawall(service="brave", settings=settings(collector, **options))
    with serving(sea.install(FastAPI())) as url, httpx2.Client() as client:
        slowest = 0.0
        for _ in range(100):
            began = time.perf_counter()
            assert client.get(f"{url}/health").status_code == 200
            slowest = max(slowest, time.perf_counter() - began)
        began = time.perf_counter()
    assert slowest < 1.0
    assert time.perf_counter() - began < 5.0
    assert not [record for record in caplog.records if record.exc_info and record.name.startswith("seawall")]


def test_spans_that_wait_are_bounded(collector, caplog):
    collector.delay = 1.0
    spans = OpenTelemetrySpans.exporting(f"{collector.url}/v1/traces", service="many", rate=1.0)
    began = time.perf_counter()
    for number in range(3 * MOST_WAITING):
        spans.ended(
            Span(
                name="x", kind="internal", trace_id="1" * 32, span_id=f"{number + 1:016x}", parent_id=None,
                started=time.time(), seconds=0.1,
            )
        )  # fmt: skip
    taken = time.perf_counter() - began
    collector.delay = 0.0
    spans.close(5.0)
    assert taken < 3.0
    assert len(collector.spans) < 3 * MOST_WAITING
    assert collector.spans[-1].span_id == f"{3 * MOST_WAITING:016x}"


def test_what_waits_is_sent_when_the_service_stops(collector):
    sea = Seawall(service="stops", settings=settings(collector))
    app = sea.install(FastAPI())

    async def main() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://t") as client,
        ):
            await client.get("/health")

    for times in (1, 2):  # a service can be started again
        asyncio.run(main())
        assert len(collector.named("GET /health", "stops")) == times


def test_the_apps_own_spans_go_out_with_ours(collector):
    sea = Seawall(service="own", settings=settings(collector, trace_sample_rate=0.0))
    app = sea.install(FastAPI())
    assert sea.tracing.spans is not None
    tracer = sea.tracing.spans.provider.get_tracer("app")

    @app.get("/")
    async def endpoint() -> None:
        with tracer.start_as_current_span("inner", attributes={"a": 1}):
            pass

    with serving(app) as url:
        httpx2.get(url)
        httpx2.get(url, headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    (request,) = collector.named("GET /")
    (inner,) = collector.named("inner")
    assert (inner.parent_id, inner.trace_id, inner.attributes) == (request.span_id, "a" * 32, {"a": 1})
