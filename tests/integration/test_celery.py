"""A real worker on a real broker runs what a real server handed in: one trace, one log, one set of metrics."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx2
import pytest
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.result import AsyncResult

from seawall.testing.valkey import Valkey
from tests.receivers import Collector, Receiver

ROOT = Path(__file__).parents[2]
APP = "tests.integration.celery_app"
SECRET = "hunter2-hunter2"


def until(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `found` gives as soon as that is something."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it didn't happen"
        time.sleep(0.05)
    return value


def timed(url: str) -> tuple[httpx2.Response, float]:
    """The answer to a request, and the seconds it took."""
    began = time.monotonic()
    answer = httpx2.post(url, timeout=60)
    return answer, time.monotonic() - began


@dataclass
class Service:
    url: str
    valkey: Valkey
    collector: Collector
    sentry: Receiver
    worker: subprocess.Popen[bytes]
    log: Path
    celery: Celery

    def post(self, name: str, **headers: str) -> str:
        answer = httpx2.post(f"{self.url}/jobs/{name}", headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text
        return str(answer.json())

    def result(self, name: str, **headers: str) -> Any:
        return AsyncResult(self.post(name, **headers), app=self.celery).get(timeout=30)

    def lines(self, **fields: Any) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if fields.items() <= line.items()]

    def metrics(self) -> dict[str, float]:
        lines = httpx2.get(f"{self.url}/metrics", timeout=20).text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def health(self) -> dict[str, Any]:
        headers = {"authorization": "Bearer a-token-of-16-characters"}
        found: dict[str, Any] = httpx2.get(f"{self.url}/health/detailed", headers=headers, timeout=20).json()
        return found


@pytest.fixture(scope="module", params=["prefork", "threads"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("celery")
    with ExitStack() as stack:
        valkey = stack.enter_context(Valkey())
        collector = stack.enter_context(closing(Collector()))
        sentry = stack.enter_context(closing(Receiver()))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {
            **os.environ,
            "CELERY_BROKER_URL": valkey.url,
            "CELERY_RESULT_BACKEND": valkey.url,
            "SEAWALL_METRICS_FOLDER": str(folder / "metrics"),
            "SEAWALL_ADMIN_TOKEN": "a-token-of-16-characters",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "TRACE_SAMPLE_RATE": "1",
            "SENTRY_DSN": sentry.dsn,
            "PYTHONPATH": str(ROOT),
        }
        log = folder / "worker.log"

        def start(*command: str, output: Path) -> subprocess.Popen[bytes]:
            with output.open("wb") as file:
                process = subprocess.Popen(
                    [sys.executable, "-m", *command], cwd=folder, env=environment, stderr=file, stdout=file
                )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            return process

        server = start("uvicorn", f"{APP}:app", "--port", str(port), output=folder / "server.log")
        pool = ("--pool", request.param, "--concurrency", "2")
        worker = start("celery", "-A", f"{APP}:celery", "worker", *pool, "--without-gossip", output=log)
        celery = Celery("tests", broker=valkey.url, backend=valkey.url)
        stack.callback(celery.close)
        service = Service(f"http://127.0.0.1:{port}", valkey, collector, sentry, worker, log, celery)

        def up() -> bool:
            assert server.poll() is None, (folder / "server.log").read_text()
            assert worker.poll() is None, log.read_text()
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0 and "ready" in log.read_text()

        until(up)
        yield service


def test_a_job_is_of_the_trace_of_its_request(service):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert service.result("add", traceparent=f"00-{trace}-00f067aa0ba902b7-01", **{"x-request-id": "r-1"}) == 5
    job = until(lambda: service.collector.named(f"job {APP}.add"))
    inside = until(lambda: service.collector.named("sum"))
    (request,) = until(lambda: service.collector.named("POST /jobs/{name}"))
    assert {span.trace_id for span in (*job, *inside, request)} == {trace}
    assert job[0].parent_id == request.span_id
    assert inside[0].parent_id == job[0].span_id
    assert job[0].kind == 5  # of OpenTelemetry's enumeration: a consumer
    assert job[0].attributes["seawall.job.state"] == "succeeded"
    assert (job[0].attributes["seawall.job.attempt"], job[0].failed) == (1, False)
    (line,) = service.lines(message="adding")
    assert (line["request_id"], line["trace_id"], line["job"]) == ("r-1", trace, f"{APP}.add")
    (line,) = until(lambda: service.lines(logger="seawall.jobs", job=f"{APP}.add", request_id="r-1"))
    assert (line["state"], line["level"], line["attempt"], line["job_id"]) == (
        "succeeded", "info", 1, job[0].attributes["messaging.message.id"],
    )  # fmt: skip
    assert 0 <= line["waited_ms"] < 20_000
    assert line["duration_ms"] > 0


def test_a_job_of_a_job_is_of_the_same_trace(service):
    trace = "5bf92f3577b34da6a3ce929d0e0e4736"
    service.result("outer", traceparent=f"00-{trace}-00f067aa0ba902b7-01")

    def inner() -> Any:
        return [span for span in service.collector.named(f"job {APP}.add") if span.trace_id == trace]

    (added,) = until(inner)
    (outer,) = until(lambda: service.collector.named(f"job {APP}.outer"))
    assert added.parent_id == outer.span_id


def test_a_job_that_fails_is_told_of_without_secrets(service):
    trace = "6bf92f3577b34da6a3ce929d0e0e4736"
    job_id = service.post("fail", traceparent=f"00-{trace}-00f067aa0ba902b7-01", **{"x-request-id": "r-fails"})
    (line,) = until(lambda: service.lines(logger="seawall.jobs", job_id=job_id))
    assert (line["level"], line["state"], line["failed"]) == ("warning", "failed", "RuntimeError")
    (span,) = until(lambda: service.collector.named(f"job {APP}.fail"))
    assert span.failed
    assert (span.attributes["error.type"], span.attributes["seawall.job.state"]) == ("RuntimeError", "failed")
    (event,) = until(lambda: [one for one in service.sentry.of("event") if one["transaction"] == f"{APP}.fail"])
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert event["tags"]["trace_id"] == trace
    assert event["tags"]["request_id"] == "r-fails"
    # Celery's own line of it, and its traceback.
    assert until(lambda: service.lines(logger="celery.app.trace", request_id="r-fails"))
    for secret in (SECRET, "an-argument"):
        assert secret not in service.log.read_text()
    assert SECRET not in "".join(service.sentry.texts)
    assert SECRET.encode() not in b"".join(service.collector.bodies)


def test_each_attempt_is_a_run_of_its_own(service):
    job_id = service.post("flaky", **{"x-request-id": "r-flaky"})
    assert AsyncResult(job_id, app=service.celery).get(timeout=30) == 2
    runs = until(lambda: len(found := service.lines(logger="seawall.jobs", job_id=job_id)) == 3 and found)
    # Each is in the log of its own process.
    by_attempt = itemgetter("attempt")
    assert [(run["attempt"], run["state"], run.get("failed")) for run in sorted(runs, key=by_attempt)] == [
        (1, "retried", "ConnectionError"),
        (2, "retried", "ConnectionError"),
        (3, "succeeded", None),
    ]
    assert {run["request_id"] for run in runs} == {"r-flaky"}
    assert [one for one in service.sentry.of("event") if one["transaction"] == f"{APP}.flaky"] == []


def test_the_time_limit_of_a_job_is_its_deadline(service):
    assert 20 < service.result("limited") <= 25
    assert service.result("unlimited") is None


def test_what_a_job_returns_is_in_no_log(service):
    assert service.result("told") == SECRET
    until(lambda: service.lines(logger="seawall.jobs", job=f"{APP}.told"))
    assert SECRET not in service.log.read_text()


def test_a_job_that_nobody_asked_for_has_a_trace_of_its_own(service):
    job_id = service.celery.send_task(f"{APP}.unlimited").id
    (line,) = until(lambda: service.lines(logger="seawall.jobs", job_id=job_id))
    assert line["request_id"] == job_id
    assert len(line["trace_id"]) == 32
    assert "waited_ms" not in line  # whoever sent it doesn't say when


@pytest.mark.parametrize("headers", [{"traceparent": "nonsense", "x-request-id": "a b"}, {"traceparent": 7}])
def test_headers_that_make_no_sense_are_as_good_as_none(service, headers):
    job_id = service.celery.send_task(f"{APP}.unlimited", headers={**headers, "seawall-published": "yesterday"}).id
    (line,) = until(lambda: service.lines(logger="seawall.jobs", job_id=job_id))
    assert (line["state"], line["request_id"], line.get("waited_ms")) == ("succeeded", job_id, None)


def test_metrics_of_the_workers_are_with_those_of_the_server(service):
    def counted() -> dict[str, float]:
        found = service.metrics()
        return {name: value for name, value in found.items() if "celery_app.pid" in name and "bucket" not in name}

    before = counted()
    processes = {service.result("pid") for _ in range(10)}
    assert service.worker.pid not in processes or len(processes) == 1

    def gained() -> dict[str, float]:
        return {name.partition("{")[0]: value - before.get(name, 0) for name, value in counted().items()}

    until(lambda: gained().get("jobs_total") == 10)
    found = gained()
    assert (found["jobs_enqueued_total"], found["job_duration_seconds_count"]) == (10, 10)
    assert found["job_wait_seconds_count"] == 10
    assert service.metrics()["jobs_active"] == 0


def test_a_job_that_no_worker_knows_is_logged_without_its_arguments(service):
    service.celery.send_task("no.such.task", args=["an-argument"], kwargs={"k": "another-argument"})
    line = until(lambda: [one for one in service.lines(level="error") if "no.such.task" in one["message"]])[0]
    assert line["logger"] == "celery.worker.consumer.consumer"
    assert "argument" not in service.log.read_text()


def test_a_result_is_stored_although_redis_hangs_for_a_while(service):
    job_id = service.post("nap")
    until(lambda: service.lines(message="naps", job_id=job_id))
    service.valkey.pause()
    time.sleep(5)
    service.valkey.resume()
    assert AsyncResult(job_id, app=service.celery).get(timeout=30) == "slept"


only_processes = pytest.mark.parametrize("service", ["prefork"], indirect=True)


@only_processes
def test_a_process_that_is_killed_in_a_job_is_replaced_and_told_of(service):
    with pytest.raises(WorkerLostError):
        AsyncResult(service.post("die"), app=service.celery).get(timeout=30)
    assert until(lambda: [line for line in service.lines(level="error") if "SIGKILL" in line["message"]])
    assert service.result("add") == 5
    until(lambda: service.metrics()["jobs_active"] == 0)


@only_processes
def test_health_tells_of_workers_that_are_gone_and_of_a_broker_that_hangs(service):
    # The last test of these: it ends the worker.
    def check() -> dict[str, Any]:
        found: dict[str, Any] = service.health()["checks"]["celery"]
        return found

    assert until(lambda: check()["status"] == "healthy")
    assert service.result("add") == 5  # after some time without a job
    os.kill(service.worker.pid, signal.SIGTERM)
    assert service.worker.wait(30) == 0
    until(lambda: check()["message"] == "no worker answers")
    assert service.health()["status"] == "degraded"
    service.valkey.pause()
    try:
        with ThreadPoolExecutor(30) as threads:
            answers = list(threads.map(lambda _: timed(f"{service.url}/jobs/add"), range(30)))
        refused, took = max(answers, key=lambda answer: answer[1])
        # By now a breaker is open, and nobody waits.
        at_once, soon = timed(f"{service.url}/jobs/add")
        until(lambda: check()["status"] == "unhealthy")
        assert httpx2.get(f"{service.url}/health/ready").status_code == 200  # not critical
    finally:
        service.valkey.resume()
    assert {answer.status_code for answer, _ in answers} == {503}
    assert (refused.status_code, refused.json()["code"]) == (503, "queue-unavailable")
    assert refused.headers["retry-after"] == "5"
    assert took < 15
    assert (at_once.status_code, at_once.json()["code"]) == (503, "circuit-open")
    assert soon < 2
    assert service.valkey.url.rpartition("/")[0].rpartition(":")[2] not in refused.text
    until(lambda: timed(f"{service.url}/jobs/add")[0].status_code == 200)
