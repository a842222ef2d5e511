"""What a developer wants to look at on his own machine; these routes are nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seawall.web.problems import problem

LONGEST = 60.0


def debug_routes(
    prefix: str, *, settings: Callable[[], Mapping[str, Any]], errors: Callable[[], Mapping[str, type[Exception]]]
) -> list[Route]:
    """Routes below `prefix`, to be added in development only.

    GET /settings        what the environment said, without secrets
    GET /routes          every route of the app
    GET /tasks           what runs on the event loop, and where it waits
    GET /error/{code}    what a caller is answered when that error is raised; `unexpected` for one that isn't ours
    GET /slow?seconds=3  an answer that takes its time
    """

    async def show_settings(_request: Request) -> Response:
        return JSONResponse({name: str(value) for name, value in settings().items()})

    async def list_routes(request: Request) -> Response:
        found = [
            {"path": getattr(route, "path", None), "methods": sorted(getattr(route, "methods", None) or ())}
            for one in request.app.routes
            for route in getattr(one, "routes", None) or [one]
        ]
        return JSONResponse({"routes": found})

    async def list_tasks(_request: Request) -> Response:
        found = []
        for task in asyncio.all_tasks():
            frames = task.get_stack(limit=1)
            where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else None
            found.append({"name": task.get_name(), "where": where})
        return JSONResponse({"tasks": found})

    async def raise_error(request: Request) -> Response:
        code = request.path_params["code"]
        if code == "unexpected":
            message = "raised by /debug/error"
            raise RuntimeError(message)
        kind = errors().get(code)
        if kind is None:
            known = ", ".join(sorted(errors()))
            return problem(404, code="unknown-error", detail=f"there is no error {code!r}; known: unexpected, {known}")
        raise kind(*("example",) * _needed(kind))

    async def be_slow(request: Request) -> Response:
        seconds = 1.0
        with contextlib.suppress(ValueError):
            seconds = float(request.query_params.get("seconds", "1"))
        await asyncio.sleep(min(max(0.0, seconds), LONGEST))
        return JSONResponse({"slept": seconds})

    return [
        Route(f"{prefix}/settings", show_settings, methods=["GET"]),
        Route(f"{prefix}/routes", list_routes, methods=["GET"]),
        Route(f"{prefix}/tasks", list_tasks, methods=["GET"]),
        Route(f"{prefix}/error/{{code}}", raise_error, methods=["GET"]),
        Route(f"{prefix}/slow", be_slow, methods=["GET"]),
    ]


def _needed(kind: type[Exception]) -> int:
    """How many positional arguments without a default its constructor takes."""
    code, defaults = getattr(kind.__init__, "__code__", None), getattr(kind.__init__, "__defaults__", None) or ()
    return 0 if code is None else max(0, code.co_argcount - 1 - len(defaults))
