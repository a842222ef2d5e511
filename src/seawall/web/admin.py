"""The admin API: which pipelines there are, how they are, and hands on their breakers."""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seawall.web.problems import problem

Endpoint = Callable[[Request], Awaitable[Response]]


class PipelineLike(Protocol):
    """What the listing asks of a pipeline."""

    @property
    def policies(self) -> Sequence[Any]:
        """The policies, outermost first."""
        ...


class BreakerLike(Protocol):
    """What the admin API steers."""

    def statistics(self) -> Any:
        """A frozen dataclass."""
        ...

    def open(self) -> None:
        """Refuse calls for a while, then try."""
        ...

    def close(self) -> None:
        """Let calls through."""
        ...

    def reset(self) -> None:
        """Let calls through, with an empty window."""
        ...

    def isolate(self) -> None:
        """Refuse calls until closed by hand."""
        ...


def admin_routes(
    prefix: str,
    *,
    token: str | None,
    pipelines: Mapping[str, PipelineLike],
    breakers: Callable[[], Mapping[str, BreakerLike]],
) -> list[Route]:
    """Routes below `prefix`, for whoever sends `Authorization: Bearer <token>`; refused to all while it is None.

    GET  /pipelines                     every pipeline, its policies and their statistics
    GET  /breakers                      every breaker and its statistics
    POST /breakers/{name}/{action}      action: open, close, reset, isolate
    """

    async def list_pipelines(_request: Request) -> Response:
        return JSONResponse(
            {
                "pipelines": [
                    {"name": name, "policies": [describe(policy) for policy in pipeline.policies]}
                    for name, pipeline in pipelines.items()
                ]
            }
        )

    async def list_breakers(_request: Request) -> Response:
        return JSONResponse({"breakers": [as_json(breaker.statistics()) for breaker in breakers().values()]})

    async def steer_breaker(request: Request) -> Response:
        name, action = request.path_params["name"], request.path_params["action"]
        breaker = breakers().get(name)
        if breaker is None:
            known = ", ".join(sorted(breakers())) or "none"
            return problem(404, code="unknown-breaker", detail=f"there is no breaker {name!r}; known: {known}")
        actions: dict[str, Callable[[], None]] = {
            "open": breaker.open,
            "close": breaker.close,
            "reset": breaker.reset,
            "isolate": breaker.isolate,
        }
        if action not in actions:
            detail = f"there is no action {action!r}; known: {', '.join(actions)}"
            return problem(404, code="unknown-action", detail=detail)
        actions[action]()
        return JSONResponse(as_json(breaker.statistics()))

    guard = guarded_by(token)
    return [
        Route(f"{prefix}/pipelines", guard(list_pipelines), methods=["GET"]),
        Route(f"{prefix}/breakers", guard(list_breakers), methods=["GET"]),
        Route(f"{prefix}/breakers/{{name:path}}/{{action}}", guard(steer_breaker), methods=["POST"]),
    ]


def describe(policy: Any) -> dict[str, Any]:
    """A policy as its `repr`, and its statistics where it keeps some."""
    statistics = getattr(policy, "statistics", None)
    described: dict[str, Any] = {"policy": repr(policy)}
    return described if statistics is None else described | {"statistics": as_json(statistics())}


def as_json(statistics: Any) -> dict[str, Any]:
    """A frozen dataclass of numbers and strings as a JSON object."""
    return dataclasses.asdict(statistics)


def guarded_by(token: str | None) -> Callable[[Endpoint], Endpoint]:
    """Lets through whoever sends the token as `Authorization: Bearer`; nobody while it is None."""

    def guard(endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if token is None:
                detail = "the admin API is off; set SEAWALL_ADMIN_TOKEN to switch it on"
                return problem(403, code="admin-off", detail=detail)
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), token.encode()):
                return problem(
                    401,
                    code="admin-token",
                    detail="send the admin token as 'Authorization: Bearer ...'",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            return await endpoint(request)

        return guarded

    return guard
