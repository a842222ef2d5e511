"""The last requests, to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seawall.web.admin import Endpoint
from seawall.web.layer import Served
from seawall.web.problems import problem


class RingLike(Protocol):
    """The last requests, the newest last."""

    @property
    def requests(self) -> Iterable[Any]:
        """Each a `Served`."""
        ...


def requests_routes(prefix: str, guard: Callable[[Endpoint], Endpoint], ring: RingLike) -> list[Route]:
    """GET `prefix`: the last requests this process has served, the newest first.

    Query: limit (100), route, method, status (`404`, or `5` for all of 500 to 599), slower_than (seconds),
    request_id, trace_id.
    """

    async def list_requests(request: Request) -> Response:
        query = request.query_params
        try:
            limit = int(query.get("limit", "100"))
            slower_than = float(query.get("slower_than", "0"))
        except ValueError:
            return problem(422, code="validation", detail="limit is a whole number, slower_than a number of seconds")
        equal = {name: query[name] for name in ("route", "method", "request_id", "trace_id") if name in query}
        found = [
            shown
            for served in reversed(list(ring.requests))
            if served.seconds >= slower_than and str(served.status).startswith(query.get("status", ""))
            for shown in (as_json(served),)
            if all(shown[name] == value for name, value in equal.items())
        ]
        return JSONResponse({"requests": found[: max(0, limit)]})

    return [Route(prefix, guard(list_requests), methods=["GET"])]


def as_json(served: Served) -> dict[str, Any]:
    """A request as JSON has it."""
    work = served.correlation
    return {
        "at": served.at, "method": served.method, "path": served.path, "route": served.route, "status": served.status,
        "duration_ms": round(served.seconds * 1000, 2), "size": served.size, "client": served.client,
        "request_id": work.request_id, "trace_id": work.trace_id, "sampled": work.sampled,
    }  # fmt: skip
