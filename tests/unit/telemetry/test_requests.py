"""Requests that are told of many at once: none is lost, and none waits for long."""

import asyncio
import dataclasses
import io
import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from seawall import Seawall
from seawall.core.correlation import Correlation
from seawall.settings import Settings
from seawall.telemetry import catalogue
from seawall.telemetry.logs import Logs
from seawall.telemetry.metrics import Metrics
from seawall.telemetry.requests import AccessLog, RequestBatch, RequestMetrics, Ring, ServedLike
from seawall.telemetry.shared import SharedFolder
from seawall.telemetry.sink import Sink
from seawall.web.layer import Served


def served(path: str = "/things/7", status: int = 200, *, sampled: bool = False) -> Served:
    work = Correlation("id", "ab" * 16, "cd" * 8, sampled=sampled)
    return Served(0.0, "GET", path, "/things/{id}", status, 0.25, "127.0.0.1", 10, work)


class Told:
    """A batch, and how many it has told of each time."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.active = RequestMetrics(Metrics()).active
        self.batch = RequestBatch(self.active, Ring(), [self.take])

    def take(self, requests: Sequence[ServedLike]) -> None:
        self.batches.append(len(requests))

    async def serve(self, requests: int = 1) -> None:
        for _ in range(requests):
            self.batch.began()
            self.batch.ended(served())


@pytest.fixture
def told() -> Told:
    return Told()


def test_many_are_told_of_at_once_and_a_few_after_a_moment(told):
    async def main() -> None:
        await told.serve(2 * RequestBatch.MANY + 3)
        assert told.batches == [RequestBatch.MANY] * 2
        await asyncio.sleep(4 * RequestBatch.PAUSE)
        assert told.batches == [RequestBatch.MANY] * 2 + [3]
        await told.serve()
        await asyncio.sleep(4 * RequestBatch.PAUSE)
        assert told.batches[3:] == [1]

    asyncio.run(main())


def test_a_flush_tells_at_once_and_of_each_only_once(told):
    async def main() -> None:
        await told.serve(2)
        told.batch.flush()
        told.batch.flush()
        await asyncio.sleep(4 * RequestBatch.PAUSE)

    asyncio.run(main())
    assert told.batches == [2]


def test_those_under_way_are_counted_at_once(told):
    async def main() -> None:
        told.batch.began()
        told.batch.began()
        assert told.active.value == 2
        told.batch.ended(served())
        assert told.active.value == 1

    asyncio.run(main())


def test_what_a_loop_that_ended_has_left_is_told_by_the_next_one(told):
    """As with Starlette's TestClient, whose requests each have a loop of their own."""

    async def main() -> None:
        await told.serve()
        await asyncio.sleep(4 * RequestBatch.PAUSE)

    for _ in range(5):
        asyncio.run(told.serve())
    asyncio.run(main())
    assert told.batches == [6]


def test_a_loop_that_stands_still_keeps_nobody_waiting(told):
    still = asyncio.new_event_loop()
    still.run_until_complete(told.serve())

    async def main() -> None:
        await told.serve()
        await asyncio.sleep(4 * RequestBatch.PAUSE)
        assert told.batches == [2]

    asyncio.run(main())
    still.close()


def test_a_request_that_ends_outside_of_any_loop_waits_for_the_next_flush(told):
    """As one that was abandoned, and is ended by the garbage collector."""
    told.batch.began()
    told.batch.ended(served())
    told.batch.flush()
    assert (told.batches, told.active.value) == ([1], 0)


def test_what_is_told_may_flush_and_serve_meanwhile(told):
    """A handler of a log line may, and whatever the garbage collector ends."""

    def take(requests: Sequence[ServedLike]) -> None:
        batch.flush()
        if len(told.batches) < 3:
            batch.ended(served())
        told.take(requests)

    batch = RequestBatch(told.active, Ring(), [take])
    batch.ended(served())
    thread = threading.Thread(target=batch.flush, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert told.batches == [1, 1, 1, 1]


def test_one_that_fails_keeps_nothing_from_the_others(told, caplog):
    def fail(requests: Sequence[ServedLike]) -> None:
        raise OSError("full")

    batch = RequestBatch(told.active, Ring(), [fail, told.take])
    batch.ended(served())
    batch.ended(served(status=500))
    batch.flush()
    assert told.batches == [1, 1]
    assert [record.message for record in caplog.records] == ["1 requests could not be counted or written down"] * 2


def test_what_waits_is_told_of_by_one_process_only(told):
    told.batch.ended(served())
    read, write = os.pipe()
    child = os.fork()
    if not child:
        told.batch.flush()
        os.write(write, bytes(told.batches))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as said:
        assert said.read() == b""
    os.waitpid(child, 0)
    told.batch.flush()
    assert told.batches == [1]


@pytest.mark.usefixtures("eager_threads")
def test_none_is_lost_or_told_of_twice_between_threads(told):
    def work() -> None:
        asyncio.run(told.serve(5_000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        told.batch.flush()
        time.sleep(0.001)
    told.batch.flush()
    assert sum(told.batches) == 20_000
    assert told.active.value == 0


def test_those_of_one_route_and_status_are_told_of_together(told):
    seen: list[list[tuple[str, int]]] = []
    batch = RequestBatch(
        told.active, Ring(), [lambda requests: seen.append([(each.path, each.status) for each in requests])]
    )

    async def main() -> None:
        for path, status in (("/a", 200), ("/b", 500), ("/c", 200), ("/d", 500)):
            batch.ended(served(path, status))

    asyncio.run(main())
    batch.flush()
    assert seen == [[("/a", 200), ("/c", 200)], [("/b", 500), ("/d", 500)]]


def test_they_are_counted():
    metrics = Metrics()
    counted = RequestMetrics(metrics)
    counted.served([served(), served(sampled=True)])
    counted.served([served(status=500)])
    requests, seconds = metrics.declare(catalogue.HTTP_REQUESTS), metrics.declare(catalogue.HTTP_SECONDS)
    assert {series.labels: series.value for series in requests} == {
        ("GET", "/things/{id}", "200"): 2.0, ("GET", "/things/{id}", "500"): 1.0,
    }  # fmt: skip
    [series] = seconds
    assert (series.count, series.sum, list(series.exemplars.values())) == (3, 0.75, [("ab" * 16, 0.25)])
    assert metrics.declare(catalogue.HTTP_BYTES).labels().value == 30


def test_each_has_its_line_but_probes_that_are_answered_well(caplog):
    caplog.set_level(logging.INFO)
    written: list[bytes] = []

    class Kept:
        def write(self, data: bytes) -> None:
            written.append(data)

    sink = Sink(Kept())
    log = AccessLog(sink.write_all, quiet=frozenset({"/health"}), moment=lambda _at: "now")
    log.served([served(f"/{number}") for number in range(2_500)])  # more than the sink takes at one time
    log.served([served("/health")])
    log.served([served("/health", 503)])
    assert sink.flush(timeout=5.0)
    lines = b"".join(written).splitlines()
    assert [line.split(b'"message": "GET ')[1].split()[0] for line in lines] == [
        *(b"/%d" % number for number in range(2_500)), b"/health",
    ]  # fmt: skip
    sink.close()


def test_a_line_that_cannot_be_made_costs_no_other(caplog):
    caplog.set_level(logging.INFO)
    written: list[bytes] = []
    log = AccessLog(written.extend, quiet=frozenset(), moment=lambda _at: "now")
    gone: Any = None
    nonsense = dataclasses.replace(served("/2"), client=gone)
    log.served([served("/1"), nonsense, served("/3")])
    assert [json.loads(line)["path"] for line in written] == ["/1", "/3"]
    assert "could not be made" in caplog.text


@pytest.mark.parametrize("leave", [Sink.flush, Sink.close])
def test_a_sink_that_is_flushed_writes_what_is_kept_elsewhere(leave):
    written: list[bytes] = []

    class Kept:
        def write(self, data: bytes) -> None:
            written.append(data)

    kept = [b"a\n", b"b\n"]
    sink = Sink(Kept())
    sink.before_flush(lambda: sink.write_all([kept.pop(0) for _ in list(kept)]))
    leave(sink)
    assert b"".join(written) == b"a\nb\n"
    sink.close()


@pytest.mark.parametrize("logs", [True, False])
def test_the_last_requests_of_a_process_that_ends_are_counted(tmp_path, logs):
    kept = Logs(stream=io.StringIO()) if logs else None
    sea = Seawall(service="shop", settings=Settings(metrics_folder=tmp_path / "metrics"), logs=kept)

    async def thing(_request: Request) -> Response:
        return Response("thing")

    with TestClient(sea.install(Starlette(routes=[Route("/things", thing)]))) as client:
        for _ in range(5):
            client.get("/things")
    found = SharedFolder(tmp_path / "metrics").totals()
    assert found["http_requests_total"]["GET", "/things", "200"] == [5.0]
