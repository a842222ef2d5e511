"""The admin API of the cache: what it does, what to do better, and hands on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seawall.web.problems import problem

Endpoint = Callable[[Request], Awaitable[Response]]


class Described(Protocol):
    """Something that is shown as JSON."""

    def as_dict(self) -> dict[str, Any]:
        """Its figures by name."""
        ...


class CacheLike(Protocol):
    """What the admin API asks of a cache."""

    def statistics(self) -> Described:
        """What it did so far."""
        ...

    def recommendations(self) -> Sequence[Described]:
        """What to do better."""
        ...

    async def invalidate(self, *tags: str) -> None:
        """Void what carries one of `tags`."""
        ...

    async def delete(self, *keys: str) -> None:
        """Forget `keys`."""
        ...

    async def clear(self) -> None:
        """Void everything."""
        ...


class WarmerLike(Protocol):
    """What the admin API asks of whoever warms it."""

    def statistics(self) -> Sequence[Described]:
        """The last run of each strategy."""
        ...

    async def run(self, name: str | None = None) -> Described:
        """Run one strategy, or all."""
        ...


def cache_routes(
    prefix: str, guard: Callable[[Endpoint], Endpoint], cache: CacheLike, warmer: WarmerLike
) -> list[Route]:
    """Routes below `prefix`, each behind `guard`.

    GET    {prefix}                 statistics, recommendations with their figures, and the last warming
    POST   {prefix}/warm            run every warming strategy, or `?strategy=`; answers when it is done
    DELETE {prefix}                 void what `?tag=` or `?key=` names, each as often as you like, or `?everything=true`
    """

    async def show(_request: Request) -> Response:
        return JSONResponse(
            {
                "statistics": cache.statistics().as_dict(),
                "recommendations": [each.as_dict() for each in cache.recommendations()],
                "warming": [each.as_dict() for each in warmer.statistics()],
            }
        )

    async def warm(request: Request) -> Response:
        try:
            report = await warmer.run(request.query_params.get("strategy"))
        except ValueError as error:
            return problem(404, code="unknown-strategy", detail=str(error))
        return JSONResponse(report.as_dict())

    async def forget(request: Request) -> Response:
        tags, keys = request.query_params.getlist("tag"), request.query_params.getlist("key")
        if request.query_params.get("everything") == "true":
            await cache.clear()
        elif tags or keys:
            await cache.invalidate(*tags)
            await cache.delete(*keys)
        else:
            detail = "say what to void: ?tag=..., ?key=..., or ?everything=true"
            return problem(400, code="nothing-named", detail=detail)
        return Response(status_code=204)

    return [
        Route(prefix, guard(show), methods=["GET"]),
        Route(f"{prefix}/warm", guard(warm), methods=["POST"]),
        Route(prefix, guard(forget), methods=["DELETE"]),
    ]
