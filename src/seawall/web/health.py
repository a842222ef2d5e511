"""The probes: `/health` and what is below it, in plain JSON or as `application/health+json`.

The latter is draft-inadarei-api-health-check-06; a client gets it that prefers it in its Accept header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seawall.core import Health, Status

MEDIA_TYPE = "application/health+json"

Endpoint = Callable[[Request], Awaitable[Response]]

_UNAVAILABLE = 503
_LONGEST_ACCEPT = 1_000
"""Characters; a longer header has plain JSON. Anybody may send one, and unpaired quotes take quadratic time."""
_WORDS = {Status.HEALTHY: "pass", Status.DEGRADED: "warn", Status.UNHEALTHY: "fail"}
_RANGE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*)')
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


class FindingLike(Protocol):
    """What one check found."""

    @property
    def health(self) -> Health:
        """Its status and why."""
        ...

    @property
    def critical(self) -> bool:
        """Whether the whole is unhealthy when this is."""
        ...

    @property
    def seconds(self) -> float:
        """How long the check took."""
        ...

    @property
    def checked_at(self) -> datetime:
        """When, in UTC."""
        ...

    @property
    def age(self) -> float:
        """Seconds since then."""
        ...


class ReportLike(Protocol):
    """What all checks found together."""

    @property
    def status(self) -> Status:
        """Of the whole."""
        ...

    @property
    def message(self) -> str:
        """Which checks make it so."""
        ...

    @property
    def findings(self) -> Mapping[str, FindingLike]:
        """By name of the check."""
        ...


class HealthChecksLike(Protocol):
    """The checks of a service."""

    async def run(self) -> ReportLike:
        """Ask them, or tell what they said a moment ago. Bounded, and the same for any number of callers at once."""
        ...


def health_routes(
    service: str,
    checks: HealthChecksLike,
    *,
    started: Callable[[], bool],
    ready: Callable[[], bool],
    guard: Callable[[Endpoint], Endpoint] | None = None,
    version: str | None = None,
    uptime: Callable[[], float] | None = None,
) -> list[Route]:
    """The routes of the probes, for GET and HEAD; none of their answers is stored by anybody.

    GET /health            this process answers; asks nothing else
    GET /health/startup    503 until it has started, 200 from then on
    GET /health/ready      503 while it starts or drains, without asking a check; and while a critical one is unhealthy
    GET /health/detailed   every check: status, message, response time, age, what it consists of; 503 when unhealthy

    started: whether the start is done. ready: whether requests are welcome, False from the start of the drain.
    guard: put around `/health/detailed`, which tells what is inside. uptime: seconds since the start.
    """
    about: dict[str, Any] = {"service": service} | ({} if version is None else {"version": version})
    detailed = _detailed(about, checks, ready, uptime)
    return [
        Route("/health", liveness(service), methods=["GET"]),
        Route("/health/startup", _startup(service, started), methods=["GET"]),
        Route("/health/ready", _readiness(checks, started, ready), methods=["GET"]),
        Route("/health/detailed", detailed if guard is None else guard(detailed), methods=["GET"]),
    ]


def liveness(service: str) -> Endpoint:
    """`/health`: this process answers. Asks nothing else, so that a dependency's death restarts nobody."""

    async def health(request: Request) -> Response:
        return _answer(request, Status.HEALTHY, {"service": service})

    return health


def _startup(service: str, started: Callable[[], bool]) -> Endpoint:
    done = False

    async def health_startup(request: Request) -> Response:
        nonlocal done
        done = done or started()
        status = Status.HEALTHY if done else Status.UNHEALTHY
        return _answer(request, status, {"service": service, "message": "started" if done else "starting"})

    return health_startup


def _readiness(checks: HealthChecksLike, started: Callable[[], bool], ready: Callable[[], bool]) -> Endpoint:
    async def health_ready(request: Request) -> Response:
        if not ready():
            message = "draining" if started() else "starting"
            return _answer(request, Status.UNHEALTHY, {"message": message}, {})
        report = await checks.run()
        if not ready():  # the drain began while a check was under way
            return _answer(request, Status.UNHEALTHY, {"message": "draining"}, {})
        return _answer(request, report.status, {"message": report.message}, report.findings)

    return health_ready


def _detailed(
    about: Mapping[str, Any], checks: HealthChecksLike, ready: Callable[[], bool], uptime: Callable[[], float] | None
) -> Endpoint:
    async def health_detailed(request: Request) -> Response:
        report = await checks.run()
        members = {**about, "message": report.message, "ready": ready()}
        if uptime is not None:
            members["uptime_seconds"] = round(uptime(), 3)
        return _answer(request, report.status, members, report.findings, detailed=True)

    return health_detailed


def _answer(
    request: Request,
    status: Status,
    members: Mapping[str, Any],
    findings: Mapping[str, FindingLike] | None = None,
    *,
    detailed: bool = False,
) -> Response:
    """The response, in the form that the client prefers; findings are None where none belong in it."""
    if _wants_health_json(",".join(request.headers.getlist("accept"))):
        media_type, body = MEDIA_TYPE, _health_json(status, members, findings)
    else:
        media_type, body = "application/json", {"status": status, **members}
        if findings is not None:
            body["checks"] = {name: _finding(finding, detailed=detailed) for name, finding in findings.items()}
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Response(content, _UNAVAILABLE if status is Status.UNHEALTHY else 200, headers, media_type)


def _finding(finding: FindingLike, *, detailed: bool) -> dict[str, Any]:
    body = _plain(finding.health) | {"response_time_ms": _milliseconds(finding)}
    if detailed:
        body |= {
            "critical": finding.critical,
            "checked_at": _time(finding.checked_at),
            "age_seconds": round(finding.age, 3),
        }
    return body


def _plain(health: Health) -> dict[str, Any]:
    body: dict[str, Any] = {"status": health.status, "message": health.message}
    if health.checks:
        body["checks"] = {name: _plain(each) for name, each in health.checks.items()}
    return body


def _health_json(
    status: Status, members: Mapping[str, Any], findings: Mapping[str, FindingLike] | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"status": _WORDS[status]}
    if "version" in members:
        body["releaseId"] = members["version"]
    if "service" in members:
        body["serviceId"] = members["service"]
    if status is not Status.HEALTHY and members.get("message"):
        body["output"] = members["message"]
    checks: dict[str, list[dict[str, Any]]] = {}
    if "uptime_seconds" in members:
        uptime = {"componentType": "system", "observedValue": members["uptime_seconds"], "observedUnit": "s"}
        checks["uptime"] = [uptime | {"status": "pass"}]
    for name, finding in (findings or {}).items():
        entry = {"observedValue": _milliseconds(finding), "observedUnit": "ms"} | _entry(name, finding.health)
        time = _time(finding.checked_at)
        checks.setdefault(f"{_component(name)}:responseTime", []).append(entry | {"time": time})
        _add_parts(checks, name, finding.health, time)
    return body | {"checks": checks} if findings is not None else body


def _add_parts(checks: dict[str, list[dict[str, Any]]], parent: str, health: Health, time: str) -> None:
    """What a check consists of, at any depth; the draft's object is flat."""
    for name, part in health.checks.items():
        path = f"{parent}/{name}"
        checks.setdefault(f"{_component(path)}:status", []).append(_entry(path, part) | {"time": time})
        _add_parts(checks, path, part, time)


def _entry(name: str, health: Health) -> dict[str, Any]:
    entry = {"componentId": name, "status": _WORDS[health.status]}
    # The draft wants no output with what passes.
    return entry if health.status is Status.HEALTHY or not health.message else entry | {"output": health.message}


def _component(name: str) -> str:
    """A name as the part of a key before its colon; two that become one share a key, whose value is a list."""
    return name.replace(":", ".")


def _milliseconds(finding: FindingLike) -> float:
    return round(finding.seconds * 1000, 3)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _wants_health_json(accept: str) -> bool:
    """Whether an Accept header prefers it to plain JSON; where both weigh the same, whether it is named."""
    if len(accept) > _LONGEST_ACCEPT:
        return False
    ranges = [_range(found.strip()) for found in _RANGE.findall(accept)]
    wanted, named = _quality(ranges, MEDIA_TYPE)
    plain, _ = _quality(ranges, "application/json")
    return wanted > 0 and (wanted > plain or (named and wanted == plain))


def _range(text: str) -> tuple[str, float]:
    """A media range in lower case and its quality, 0 where that is no number of RFC 9110."""
    quality = 1.0
    for name, value in _PARAMETER.findall(text):
        if name.lower() == "q":
            quality = float(value) if _QUALITY.fullmatch(value) else 0.0
            break
    return text.partition(";")[0].strip().lower(), quality


def _quality(ranges: list[tuple[str, float]], media_type: str) -> tuple[float, bool]:
    """The quality of the most specific range that covers `media_type`, and whether that names it."""
    found = dict(ranges)
    for pattern in (media_type, "application/*", "*/*"):
        if pattern in found:
            return found[pattern], pattern == media_type
    return 0.0, False
