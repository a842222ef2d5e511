"""The probes, spoken to through ASGI."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from seawall.core import Health, Status
from seawall.health import Check, HealthChecks
from seawall.testing import FakeClock, virtual_time
from seawall.web.admin import guarded_by
from seawall.web.health import FindingLike, health_routes

HEALTHY, DEGRADED, UNHEALTHY = Status
TOKEN = "a-token-of-16-ch"
HEALTH_JSON = "application/health+json"
PROBES = ["/health", "/health/startup", "/health/ready", "/health/detailed"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    health: Health
    critical: bool = True
    seconds: float = 0.0125
    checked_at: datetime = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    age: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Report:
    status: Status
    message: str = ""
    findings: Mapping[str, FindingLike] = field(default_factory=dict)


class Service:
    """A service in a state of its tests' choice."""

    def __init__(self) -> None:
        self.report = Report(status=HEALTHY)
        self.runs = 0
        self.started = True
        self.ready = True

    async def run(self) -> Report:
        self.runs += 1
        return self.report

    def app(self, **options: Any) -> Starlette:
        routes = health_routes("podcasts", self, started=lambda: self.started, ready=lambda: self.ready, **options)
        return Starlette(routes=list(routes))

    def ask(self, path: str, method: str = "GET", *, options: Any = None, **headers: str) -> httpx2.Response:
        return ask(self.app(**(options or {})), path, method, **headers)


def ask(app: Any, path: str, method: str = "GET", **headers: str) -> httpx2.Response:
    async def once() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            return await http.request(method, path, headers=headers)

    return asyncio.run(once())


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def ill(service: Service) -> Service:
    """The database's replica is behind, and a disk, which is not critical, is full."""
    replica = Health(status=DEGRADED, message="behind", checks={"disk": Health(status=HEALTHY, message="all well")})
    database = Health(status=DEGRADED, message="1 of 1 replicas is behind", checks={"10.0.0.2:5432": replica})
    disk = Health(status=UNHEALTHY, message="full")
    service.report = Report(
        status=DEGRADED,
        message="database is degraded, disk is unhealthy",
        findings={"database": Finding(health=database), "disk": Finding(health=disk, critical=False, seconds=2.0)},
    )
    return service


def test_liveness_asks_nothing(service):
    service.report = Report(status=UNHEALTHY)
    service.started = service.ready = False
    answer = service.ask("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "service": "podcasts"})
    assert service.runs == 0


def test_startup_is_refused_until_started_and_never_again(service):
    service.started = False
    app = service.app()
    assert ask(app, "/health/startup").status_code == 503
    assert ask(app, "/health/startup").json()["message"] == "starting"
    service.started = True
    assert ask(app, "/health/startup").json() == {"status": "healthy", "service": "podcasts", "message": "started"}
    service.started = service.ready = False
    service.report = Report(status=UNHEALTHY)
    assert ask(app, "/health/startup").status_code == 200


@pytest.mark.parametrize(("status", "code"), [(HEALTHY, 200), (DEGRADED, 200), (UNHEALTHY, 503)])
@pytest.mark.parametrize("path", ["/health/ready", "/health/detailed"])
def test_status_code_follows_the_whole(service, status, code, path):
    service.report = Report(status=status)
    answer = service.ask(path)
    assert (answer.status_code, answer.json()["status"]) == (code, status)


@pytest.mark.parametrize(("started", "message"), [(False, "starting"), (True, "draining")])
def test_not_ready_while_starting_or_draining_without_asking_a_check(service, started, message):
    service.started, service.ready = started, False
    answer = service.ask("/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "unhealthy", "message": message, "checks": {}})
    assert service.runs == 0


def test_drain_that_begins_while_a_check_is_under_way_is_told(service):
    async def run() -> Report:
        service.ready = False
        return Report(status=HEALTHY)

    service.run = run
    answer = service.ask("/health/ready")
    assert (answer.status_code, answer.json()["message"]) == (503, "draining")


def test_readiness_tells_each_check_with_its_reason_and_time(ill):
    answer = ill.ask("/health/ready")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "status": "degraded",
        "message": "database is degraded, disk is unhealthy",
        "checks": {
            "database": {
                "status": "degraded",
                "message": "1 of 1 replicas is behind",
                "response_time_ms": 12.5,
                "checks": {
                    "10.0.0.2:5432": {
                        "status": "degraded",
                        "message": "behind",
                        "checks": {"disk": {"status": "healthy", "message": "all well"}},
                    }
                },
            },
            "disk": {"status": "unhealthy", "message": "full", "response_time_ms": 2000.0},
        },
    }


def test_detailed_tells_all(ill):
    ill.ready = False
    body = ill.ask("/health/detailed", options={"version": "1.2.3", "uptime": lambda: 12.3456}).json()
    disk = body.pop("checks")["disk"]
    assert body == {
        "status": "degraded",
        "service": "podcasts",
        "version": "1.2.3",
        "message": "database is degraded, disk is unhealthy",
        "ready": False,
        "uptime_seconds": 12.346,
    }
    assert disk == {
        "status": "unhealthy",
        "message": "full",
        "response_time_ms": 2000.0,
        "critical": False,
        "checked_at": "2026-01-02T03:04:05.678Z",
        "age_seconds": 0.25,
    }


def test_detailed_without_version_and_uptime_has_neither(service):
    assert not {"version", "uptime_seconds"} & service.ask("/health/detailed").json().keys()


def test_health_json_as_the_draft_says(ill):
    answer = ill.ask("/health/detailed", accept=HEALTH_JSON, options={"version": "1.2.3", "uptime": lambda: 12.0})
    assert answer.headers["content-type"] == HEALTH_JSON
    time = "2026-01-02T03:04:05.678Z"
    replica = "database/10.0.0.2:5432"
    assert answer.json() == {
        "status": "warn",
        "releaseId": "1.2.3",
        "serviceId": "podcasts",
        "output": "database is degraded, disk is unhealthy",
        "checks": {
            "uptime": [{"componentType": "system", "observedValue": 12.0, "observedUnit": "s", "status": "pass"}],
            "database:responseTime": [
                {
                    "componentId": "database",
                    "status": "warn",
                    "output": "1 of 1 replicas is behind",
                    "observedValue": 12.5,
                    "observedUnit": "ms",
                    "time": time,
                }
            ],
            "database/10.0.0.2.5432:status": [
                {"componentId": replica, "status": "warn", "output": "behind", "time": time}
            ],
            "database/10.0.0.2.5432/disk:status": [{"componentId": f"{replica}/disk", "status": "pass", "time": time}],
            "disk:responseTime": [
                {
                    "componentId": "disk",
                    "status": "fail",
                    "output": "full",
                    "observedValue": 2000.0,
                    "observedUnit": "ms",
                    "time": time,
                }
            ],
        },
    }


@pytest.mark.parametrize(("status", "word", "code"), [(HEALTHY, "pass", 200), (UNHEALTHY, "fail", 503)])
def test_health_json_of_the_whole(service, status, word, code):
    service.report = Report(status=status, message="why")
    answer = service.ask("/health/ready", accept=HEALTH_JSON)
    assert (answer.status_code, answer.json()["status"], "output" in answer.json()) == (code, word, word == "fail")


def test_names_that_become_one_in_health_json_are_both_told(service):
    finding = Finding(health=Health(status=HEALTHY))
    service.report = Report(status=HEALTHY, findings={"a:1": finding, "a.1": finding})
    checks = service.ask("/health/ready", accept=HEALTH_JSON).json()["checks"]
    assert [each["componentId"] for each in checks["a.1:responseTime"]] == ["a:1", "a.1"]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("text/html, application/xhtml+xml, */*;q=0.8", False),
        ("text/plain", False),
        ("application/json", False),
        ("application/health+json", True),
        ("Application/Health+JSON ; charset=utf-8", True),
        ("application/health+json, application/json", True),
        ("application/json, application/health+json", True),
        ("application/json, application/health+json;q=0.9", False),
        ("application/json;q=0.5, application/health+json;q=0.9", True),
        ("application/health+json, */*;q=0.1", True),
        ("application/health+json;q=0, */*", False),
        ("application/health+json;q=0.5, */*", False),
        ("application/json;q=0, application/*", True),
        ("*/*, application/health+json", True),
        ("application/health+json;q=2", False),
        ("application/health+json;q=nan", False),
        ('application/health+json;profile="a,b;q=0";q=0.9', True),
        ('x/y;a="application/health+json", application/json', False),
        ("application/health+json;" + "a" * 1_000, False),
    ],
)
def test_health_json_is_for_who_prefers_it(service, accept, wanted):
    answer = service.ask("/health", accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == (HEALTH_JSON if wanted else "application/json")
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("ready", [True, False])
def test_no_answer_is_stored_and_head_is_get_without_a_body(service, path, ready):
    service.ready = service.started = ready
    app = service.app()
    get, head = ask(app, path), ask(app, path, "HEAD")
    assert get.headers["cache-control"] == "no-store"
    assert (head.status_code, head.headers, head.content) == (get.status_code, get.headers, b"")
    assert ask(app, path, "POST").status_code == 405


def test_guard_stands_before_the_details_alone(service):
    app = service.app(guard=guarded_by(TOKEN))
    assert [ask(app, path).status_code for path in PROBES] == [200, 200, 200, 401]
    assert ask(app, "/health/detailed", authorization=f"Bearer {TOKEN}").status_code == 200


def test_text_that_is_no_unicode_breaks_no_probe(service):
    service.report = Report(status=HEALTHY, findings={"it": Finding(health=Health(status=HEALTHY, message="\udc80é"))})
    assert service.ask("/health/ready").json()["checks"]["it"]["message"] == "\udc80é"


def test_the_room_health_fits_and_a_storm_of_probes_asks_each_check_once_a_second():
    clock = FakeClock()
    asked: list[float] = []

    async def ping() -> None:
        asked.append(clock.monotonic())

    async def refuse() -> None:
        raise OSError("redis://:hunter2@cache")

    checks = HealthChecks([Check("database", ping), Check("cache", refuse, critical=False)], clock=clock)
    app = FastAPI()
    app.router.routes[:0] = health_routes("podcasts", checks, started=lambda: True, ready=lambda: True)

    async def main() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            for _ in range(500):
                answer = await http.get("/health/ready")
                await asyncio.sleep(0.01)
        return answer

    answer = virtual_time.run(main(), clock=clock)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["cache"]["message"] == "check failed: OSError"
    assert "hunter2" not in answer.text
    assert len(asked) <= 6
