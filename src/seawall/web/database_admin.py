"""The admin API of the database: its servers, and what the statements cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seawall.web.cache_admin import Described
from seawall.web.problems import problem

Endpoint = Callable[[Request], Awaitable[Response]]
MOST = 1_000


class StatisticsLike(Protocol):
    """Counts statements."""

    def queries(self) -> Sequence[Described]:
        """A picture of each, what took most time first."""
        ...


class DatabaseLike(Protocol):
    """What the admin API asks of a database."""

    @property
    def statistics(self) -> StatisticsLike:
        """What every statement cost so far."""
        ...

    def nodes(self) -> Sequence[Described]:
        """A picture of each server."""
        ...


def database_routes(prefix: str, guard: Callable[[Endpoint], Endpoint], database: DatabaseLike) -> list[Route]:
    """Routes below `prefix`, each behind `guard`.

    GET {prefix}            the servers: role, state, how far behind, connections in use, statements run
    GET {prefix}/queries    the statements that took most time in all, literals left out; `?limit=`, 20 by default
    """

    async def show(_request: Request) -> Response:
        return JSONResponse({"nodes": [node.as_dict() for node in database.nodes()]})

    async def queries(request: Request) -> Response:
        given = request.query_params.get("limit", "20")
        if not given.isdecimal() or not 1 <= int(given[:9]) <= MOST:
            return problem(422, code="limit", detail=f"limit is {given[:40]!r}; allowed: 1 to {MOST}")
        found = database.statistics.queries()[: int(given)]
        return JSONResponse({"queries": [query.as_dict() for query in found]})

    return [
        Route(prefix, guard(show), methods=["GET"]),
        Route(f"{prefix}/queries", guard(queries), methods=["GET"]),
    ]
