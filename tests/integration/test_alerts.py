"""The generated files in the hands of those they are for: promtool, Prometheus, Alertmanager."""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from podcasts.objectives import PLAN
from seawall.alerts import AlertPlan, FewEvents, Objective, Targets, Thresholds, generate
from seawall.telemetry.catalogue import METRICS
from tests.receivers import Loopback

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "examples" / "podcasts" / "operations"
GROUPS = [group.name for group in PLAN.groups]
PATIENCE = 30.0
"""Seconds until something that takes a few has to have happened."""


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing; install it with: apt-get install prometheus prometheus-alertmanager")
    return found


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_takes_the_configuration_and_every_rule():
    said = run(tool("promtool"), "check", "config", "prometheus.yml", cwd=OPERATIONS)
    assert f"{len(GROUPS)} rule files found" in said
    assert "duplicate" not in said


def test_alertmanager_takes_the_routing_and_sends_each_severity_to_its_receiver():
    amtool = tool("amtool")
    run(amtool, "check-config", "alertmanager.yml", cwd=OPERATIONS)
    for severity in ("page", "ticket"):
        labels = ["service=podcasts", "alertname=Anything", f"severity={severity}"]
        told = run(amtool, "config", "routes", "test", "--config.file=alertmanager.yml", *labels, cwd=OPERATIONS)
        assert told.split()[0] == severity


@pytest.mark.parametrize("group", GROUPS)
def test_every_alert_fires_and_is_silent_as_its_cases_say(group):
    run(tool("promtool"), "test", "rules", f"tests/{group}.yml", cwd=OPERATIONS)


@pytest.mark.parametrize(
    ("group", "right", "wrong"),
    [
        ("scrape", 'up{job="podcasts"} == 0', 'up{job="podcasts"} == 1'),
        ("cache", "> 0.9", "> 0.97"),
        ("calls", "== 2", ">= 1"),
        ("health", "severity: page", "severity: ticket"),
    ],
)
def test_the_cases_find_a_rule_that_is_wrong(tmp_path, group, right, wrong):
    promtool = tool("promtool")
    for folder in ("rules", "tests"):
        (tmp_path / folder).mkdir()
        shutil.copy(OPERATIONS / folder / f"{group}.yml", tmp_path / folder)
    rules = tmp_path / "rules" / f"{group}.yml"
    text = rules.read_text()
    assert right in text
    rules.write_text(text.replace(right, wrong))
    done = subprocess.run(
        [promtool, "test", "rules", f"tests/{group}.yml"], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode != 0


@pytest.mark.torture
def test_a_plan_unlike_the_examples_passes_its_own_cases(tmp_path):
    promtool = tool("promtool")
    plan = AlertPlan(
        service="my_shop-2",
        objectives=[
            Objective('all "of" it\\s', availability=90, latency=(0.5, 1.0), window=timedelta(days=7)),
            Objective("nearly never", availability=99.9999, routes=["/a.b/*", "PUT /c/{path:path}", "POST /c|d"]),
            Objective("hardly ever", availability=20.0, routes=["POST /a.b/{id}"]),
        ],
        thresholds=Thresholds(
            latency=0.3, traffic=250.0, error_rate=1e-3, database_connections=2_000_000, cpu=0.99, disk_free=0.001,
            event_loop_lag=0.002, failed_logins=1 / 3, login_codes=["a.b", "c-d"],
        ),
        business=[FewEvents(name="Few", what="orders (50 %)", metric="orders_total", at_least=2.5, within=300)],
        minimum_failures=1,
    )  # fmt: skip
    for name, text in generate(plan, METRICS).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert "duplicate" not in run(promtool, "check", "config", "prometheus.yml", cwd=tmp_path)
    run(promtool, "test", "rules", *(f"tests/{group.name}.yml" for group in plan.groups), cwd=tmp_path)


# A whole chain: a service, Prometheus that scrapes it, Alertmanager, and who is told.


def service() -> Any:
    """The app of the child process: all metrics of the catalogue, and a route of an objective that always fails."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from seawall import Seawall
    from seawall.settings import Settings

    sea = Seawall(service="podcasts", settings=Settings())

    async def well(request: Request) -> PlainTextResponse:
        return PlainTextResponse("well")

    async def fails(request: Request) -> PlainTextResponse:
        message = "forced"
        raise RuntimeError(message)

    def count() -> None:
        """What parts that this service has not would tell."""
        for metric in METRICS:
            if metric.name.startswith(("http_", "health_", "process_", "service_", "system_cpu")):
                continue
            series = sea.metrics.declare(metric).labels(*(f"some-{label}" for label in metric.labels))
            if metric.kind == "histogram":
                series.observe(metric.buckets[0])
            elif metric.kind == "counter":
                series.inc()
            else:
                series.set(1)

    sea.metrics.before_scrape(count)
    return sea.install(
        Starlette(
            routes=[
                Route("/api/v1/podcasts", well),
                Route("/api/v1/campaigns/{id}/copy", fails, methods=["POST"]),
                Route("/api/v1/campaigns/{id}/invoice", well, methods=["POST"]),
                Route("/api/v1/campaigns/{id}/mail", well, methods=["POST"]),
            ]
        )
    )


@dataclass(frozen=True)
class Chain:
    """Where everything is, and what the webhook was told."""

    service: str
    prometheus: str
    told: "Queue[tuple[str, dict[str, Any]]]"


def ask(url: str, method: str = "GET") -> bytes:
    with urlopen(Request(url, method=method), timeout=5) as answer:
        body: bytes = answer.read()
        return body


def query(chain: Chain, text: str) -> list[dict[str, Any]]:
    answer = json.loads(ask(f"{chain.prometheus}/api/v1/query?query={quote(text)}"))
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def eventually(holds: Callable[[], Any], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(command: list[str], log: Path, ready: str, **options: Any) -> Iterator[None]:
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, **options)
    try:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                ask(ready)
                break
            except (HTTPError, URLError, OSError):
                assert running.poll() is None, log.read_text(errors="replace")
                assert time.monotonic() < give_up, f"{command[0]} does not answer: {log.read_text(errors='replace')}"
                time.sleep(0.05)
        yield
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


class Webhook(Loopback):
    """Takes what Alertmanager tells; `told` has the path and the body of each."""

    def __init__(self) -> None:
        self.told: Queue[tuple[str, dict[str, Any]]] = Queue()
        super().__init__()

    def take(self, path: str, body: bytes) -> None:
        self.told.put((path, json.loads(body)))


def write_quickened(folder: Path, targets: Targets) -> None:
    """The generated files, with seconds for minutes where one has to wait."""
    for name, text in generate(replace(PLAN, targets=targets), METRICS).items():
        if name.startswith("rules/"):
            text = re.sub(r"( for| interval): \w+", r"\1: 1s", text)  # noqa: PLW2901
        elif name == "prometheus.yml":
            text = re.sub(r"(interval|timeout): \d+s", r"\1: 1s", text)  # noqa: PLW2901
        elif name == "alertmanager.yml":
            text = re.sub(r"group_(wait|interval): \w+", r"group_\1: 1s", text)  # noqa: PLW2901
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    prometheus, alertmanager = tool("prometheus"), tool("prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("alerts")
    ports = {name: free_port() for name in ("service", "prometheus", "alertmanager")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    with ExitStack() as running:
        hook = running.enter_context(closing(Webhook()))
        write_quickened(
            folder,
            Targets(
                service=[f"127.0.0.1:{ports['service']}"],
                postgresql=(),
                redis=(),
                alertmanager=[f"127.0.0.1:{ports['alertmanager']}"],
                page=f"http://{hook.address}/page",
                ticket=f"http://{hook.address}/ticket",
            ),
        )
        uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "tests.integration.test_alerts:service"]
        running.enter_context(
            process(
                [*uvicorn, f"--port={ports['service']}", "--log-level=warning"],
                folder / "service.log",
                f"{urls['service']}/health",
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'examples'}"},
            )
        )
        running.enter_context(
            process(
                [
                    alertmanager,
                    f"--config.file={folder / 'alertmanager.yml'}",
                    f"--storage.path={folder / 'alertmanager'}",
                    f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
                    "--cluster.listen-address=",
                ],
                folder / "alertmanager.log",
                f"{urls['alertmanager']}/-/ready",
            )
        )
        running.enter_context(
            process(
                [
                    prometheus,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'prometheus'}",
                    f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
                    "--enable-feature=exemplar-storage",
                ],
                folder / "prometheus.log",
                f"{urls['prometheus']}/-/ready",
                cwd=folder,
            )
        )
        yield Chain(urls["service"], urls["prometheus"], hook.told)


@pytest.fixture(scope="module")
def failing(chain: Chain) -> Iterator[Chain]:
    """The same under traffic, of which the ad-reads fail."""
    end = threading.Event()

    def call() -> None:
        while not end.wait(0.05):
            ask(f"{chain.service}/api/v1/podcasts")
            for name in ("invoice", "mail"):
                ask(f"{chain.service}/api/v1/campaigns/1/{name}", "POST")
            try:
                ask(f"{chain.service}/api/v1/campaigns/1/copy", "POST")
            except HTTPError as failed:
                failed.close()

    thread = threading.Thread(target=call)
    thread.start()
    yield chain
    end.set()
    thread.join()


def test_prometheus_scrapes_the_service(failing):
    eventually(lambda: query(failing, 'up{job="podcasts"} == 1'), "up")
    routes = 'count by (route) (http_requests_total{job="podcasts",status="500"})'
    eventually(lambda: query(failing, routes), "failures that are counted")
    assert [one["metric"]["route"] for one in query(failing, routes)] == ["/api/v1/campaigns/{id}/copy"]


def test_every_rule_is_loaded_and_evaluated_without_an_error(failing):
    def rules() -> list[dict[str, Any]]:
        groups = json.loads(ask(f"{failing.prometheus}/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    eventually(lambda: all(rule["health"] != "unknown" for rule in rules()), "every rule evaluated")
    assert {rule["name"]: rule.get("lastError", "") for rule in rules() if rule["health"] != "ok"} == {}
    declared = [one for group in PLAN.groups for one in (*group.recordings, *group.alerts)]
    assert len(rules()) == len(declared)


def test_no_panel_is_dead(failing):
    dead: list[str] = []

    def look() -> bool:
        dead.clear()
        for name in ("requests", "parts"):
            board = json.loads((OPERATIONS / "grafana" / f"{name}.json").read_text())
            for panel in board["panels"]:
                for target in panel.get("targets", ()):
                    text = target["expr"].replace("$__rate_interval", "30s").replace("$instance", ".*")
                    values = [float(one["value"][1]) for one in query(failing, text)]
                    if not any(math.isfinite(value) for value in values):
                        dead.append(f"{panel['title']}: {text}")
        return not dead

    try:
        eventually(look, "data for every panel")
    except AssertionError:
        assert dead == []


def test_a_forced_failure_is_told_to_whoever_is_on_call(failing):
    give_up = time.monotonic() + PATIENCE
    found: dict[str, dict[str, Any]] = {}
    while not {"BudgetBurnsVeryFast", "ErrorRateHigh"} <= found.keys():
        assert time.monotonic() < give_up, f"only told of {sorted(found)}"
        path, told = failing.told.get(timeout=PATIENCE)
        for alert in told["alerts"]:
            labels = alert["labels"]
            assert path == f"/{labels['severity']}"
            if labels.get("objective", "campaign copy") == "campaign copy":
                found[labels["alertname"]] = alert
    burning = found["BudgetBurnsVeryFast"]
    assert burning["status"] == "firing"
    assert burning["labels"]["indicator"] == "availability"
    assert burning["annotations"]["summary"].startswith("campaign copy: the error budget (availability)")
    assert burning["annotations"]["description"].startswith("100% of requests failed")
    assert burning["annotations"]["runbook_url"].endswith("#budgetburnsveryfast")
    budget = query(failing, 'objective:budget_left:ratio{objective="campaign copy",indicator="availability"}')
    assert float(budget[0]["value"][1]) == pytest.approx(-99.0)
