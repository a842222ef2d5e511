"""What a loopback Sentry is told of errors and traces, and that nobody waits for it."""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import sentry_sdk
from fastapi import FastAPI

from seawall import Seawall
from seawall.core import OptionError, correlation
from seawall.core.correlation import Correlation
from seawall.resilience import CircuitBreaker
from seawall.settings import Settings
from seawall.telemetry.sentry import MOST_CRUMBS, MOST_PER_SECOND, Sentry, Trail
from seawall.telemetry.tracing import traced
from seawall.testing import FakeClock
from tests.receivers import Receiver

SECRET = "hunter2-hunter2"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(autouse=True)
def _global_client() -> Iterator[None]:
    yield
    assert not sentry_sdk.get_client().is_active()


def service(dsn: str, **settings: Any) -> FastAPI:
    sea = Seawall(service="test", settings=Settings(sentry_dsn=dsn, **settings))
    app = FastAPI()
    shaky = CircuitBreaker.consecutive("payments", failures=1)
    sea.pipeline("payments", shaky)

    @app.get("/broken/{number}")
    async def broken(number: int) -> None:
        password = SECRET
        work = correlation.current.get()
        assert work is not None
        work.bind(user_id=7)
        logging.getLogger("shop").info("not worth a crumb")
        logging.getLogger("shop").warning("stock is low, password=%s", password)
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError(f"no connection with password={password}") from error

    @app.get("/fine")
    async def fine() -> str:
        with traced.block("inside", token=SECRET):
            return "fine"

    @app.get("/opens")
    async def opens() -> None:
        shaky.isolate()

    return sea.install(app)


def ask(app: FastAPI, *paths: str, **headers: str) -> list[tuple[httpx2.Response, float]]:
    async def all_of_them() -> list[tuple[httpx2.Response, float]]:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        found = []
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://t") as client,
        ):
            for path in paths:
                began = time.perf_counter()
                answer = await client.get(path, headers=headers)
                found.append((answer, time.perf_counter() - began))
        return found

    return asyncio.run(all_of_them())


def test_error_is_told_with_its_context_and_without_secrets(receiver):
    app = service(receiver.dsn, sentry_release="1.4.0", sentry_environment="staging")
    (answer, _), *_ = ask(app, "/broken/3", authorization="Bearer abcdefghijkl")
    (event,) = receiver.of("event")
    inner, outer = event["exception"]["values"]
    assert (outer["type"], inner["type"]) == ("RuntimeError", "KeyError")
    assert (event["release"], event["environment"], event["level"]) == ("1.4.0", "staging", "error")
    assert event["transaction"] == event["tags"]["route"] == "/broken/{number}"
    body = answer.json()
    assert event["tags"]["request_id"] == body["request_id"]
    assert event["tags"]["error_id"] == body["error_id"]
    assert event["contexts"]["trace"]["trace_id"] == event["tags"]["trace_id"] == body["trace_id"]
    assert (event["tags"]["code"], event["tags"]["category"], event["tags"]["severity"]) == (
        "internal",
        "internal",
        "high",
    )
    assert event["user"] == {"id": "7"}
    frame = outer["stacktrace"]["frames"][-1]
    assert frame["function"] == "broken"
    assert "vars" not in json.dumps(event)
    assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == ["stock is low, password=[hidden]"]
    assert SECRET not in "".join(receiver.texts)
    assert "abcdefghijkl" not in "".join(receiver.texts)


def test_refusals_and_answers_are_not_told(receiver):
    ask(service(receiver.dsn), "/fine", "/nowhere", "/broken/x")
    assert receiver.items == []


def test_open_breaker_is_told_with_every_later_error(receiver):
    ask(service(receiver.dsn), "/opens", "/broken/1")
    (event,) = receiver.of("event")
    messages = [crumb["message"] for crumb in event["breadcrumbs"]["values"]]
    assert any("circuit breaker payments" in message for message in messages)


def test_trace_is_told_when_it_has_ended(receiver):
    (answer, _), *_ = ask(service(receiver.dsn, sentry_traces_sample_rate=1.0), "/fine")
    (event,) = receiver.of("transaction")
    assert event["transaction"] == "GET /fine"
    trace = event["contexts"]["trace"]
    assert (trace["trace_id"], trace["op"], trace["status"]) == (answer.headers["x-request-id"], "http.server", "ok")
    assert event["start_timestamp"] <= event["timestamp"]
    (span,) = event["spans"]
    assert (span["description"], span["parent_span_id"]) == ("inside", trace["span_id"])
    assert span["data"] == {"token": "[hidden]"}


def test_traces_are_told_by_their_share(receiver):
    app = service(receiver.dsn, sentry_traces_sample_rate=0.5)
    ask(app, *["/fine"] * 60)
    assert 10 < len(receiver.of("transaction")) < 50


def test_nothing_is_told_of_traces_by_default(receiver):
    ask(service(receiver.dsn), "/fine", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert receiver.items == []


def test_what_the_app_tells_itself_is_without_secrets_too(receiver):
    app = service(receiver.dsn)

    @app.get("/tells")
    async def tells() -> None:
        local = SECRET
        sentry_sdk.add_breadcrumb(message=f"password={SECRET}")
        try:
            raise ValueError(f"password={local}")
        except ValueError:
            sentry_sdk.capture_exception()
        sentry_sdk.capture_message(f"secret={SECRET}")

    ask(app, "/tells")
    assert len(receiver.of("event")) == 2
    assert SECRET not in "".join(receiver.texts)


def test_the_apps_own_client_is_left_alone(receiver):
    own = sentry_sdk.Client(dsn=receiver.dsn, default_integrations=False, release="own")
    sentry_sdk.get_global_scope().set_client(own)
    try:
        with Sentry(receiver.dsn):
            assert sentry_sdk.get_client() is own
        assert sentry_sdk.get_client() is own
    finally:
        sentry_sdk.get_global_scope().set_client(None)
        own.close(timeout=0.0)


@pytest.mark.parametrize("trouble", ["away", "slow", "rejecting", "limiting"])
def test_no_request_waits_for_it(receiver, trouble):
    dsn = receiver.dsn
    if trouble == "away":
        with socket.create_server(("127.0.0.1", 0)) as gone:
            dsn = f"http://key@127.0.0.1:{gone.getsockname()[1]}/1"
    receiver.delay = 30.0 if trouble == "slow" else 0.0
    receiver.status = {"rejecting": 500, "limiting": 429}.get(trouble, 200)
    began = time.perf_counter()
    asked = ask(service(dsn), *["/broken/1"] * 5)
    assert [answer.status_code for answer, _ in asked] == [500] * 5
    # The first one reads lines of code.
    assert all(seconds < 1.0 for _, seconds in asked)
    assert time.perf_counter() - began < 10.0


def test_storm_of_errors_is_told_in_part_and_counted(receiver):
    clock = FakeClock()
    with Sentry(receiver.dsn, clock=clock) as sentry:
        for _ in range(MOST_PER_SECOND + 30):
            sentry.failed(ValueError("x"), work=None)
        clock.advance(1.0)
        sentry.failed(ValueError("last"), work=None)
    events = receiver.of("event")
    assert len(events) == MOST_PER_SECOND + 1
    assert events[-1]["tags"]["suppressed"] == 30
    assert "suppressed" not in events[0]["tags"]
    assert "release" not in events[0]


def test_crumbs_are_those_of_the_request_and_bounded():
    trail = Trail()
    logger = logging.Logger("shop")
    logger.addHandler(trail)
    for request_id in ("a", "b"):
        token = correlation.current.set(Correlation(request_id, "1" * 32, "2" * 16))
        for number in range(MOST_CRUMBS + 5):
            logger.warning("%s %s", request_id, number)
        logger.error("about itself", extra={"error_id": "e"})
        logger.warning("%s %s", *["does not fit"])
        correlation.current.reset(token)
    logger.warning("of nobody")
    found = [crumb["message"] for crumb in trail.of("a", "e")]
    assert len(found) == MOST_CRUMBS
    assert found[-2:] == [f"a {MOST_CRUMBS + 4}", "%s %s"]
    assert not any(message.startswith("b") or message == "about itself" for message in found)


def test_dsn_that_is_none_is_refused_without_being_shown():
    with pytest.raises(OptionError) as refused:
        Sentry("http://nowhere/secret-project")
    assert "secret-project" not in str(refused.value)
