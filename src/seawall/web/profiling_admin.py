"""The profiler: what it knows, its switch, and profiles to download."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seawall.core import MissingExtraError, OptionError, SeawallError, deadline
from seawall.web.admin import Endpoint
from seawall.web.problems import CLIENT_GONE, problem

_TO_DRAW = 2.0
"""Seconds that are left for a profile to be written, of the request's."""
_TYPES = {
    "html": ("text/html; charset=utf-8", "html"),
    "json": ("application/json", "json"),
    "speedscope": ("application/json", "speedscope.json"),
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class Described(Protocol):
    """A frozen dataclass that JSON can have."""

    def as_dict(self) -> dict[str, Any]:
        """Its fields."""
        ...


class ProfilerLike(Protocol):
    """What the routes ask of a profiler; `seawall.profiling.Profiler` is one."""

    @property
    def running(self) -> bool:
        """Whether it measures."""
        ...

    @property
    def profiling(self) -> str | None:
        """The profile under way."""
        ...

    def statistics(self) -> Sequence[Described]:
        """Of each name."""
        ...

    def stalls(self) -> Sequence[Described]:
        """What has held the event loop."""
        ...

    def process(self) -> Described:
        """What the process uses."""
        ...

    def recommendations(self) -> Sequence[Described]:
        """What to look at first."""
        ...

    def start(self) -> None:
        """Measure."""
        ...

    def stop(self) -> None:
        """Measure nothing."""
        ...

    def reset(self) -> None:
        """Forget."""
        ...

    async def cpu(self, seconds: float, form: str = "html") -> str:
        """Profile the event loop. Raises `OptionError` and other `SeawallError`s."""
        ...

    async def memory(self, seconds: float, form: str = "html") -> str:
        """Profile allocations. Raises likewise."""
        ...


def profiling_routes(prefix: str, guard: Callable[[Endpoint], Endpoint], profiler: ProfilerLike) -> list[Route]:
    """Routes below `prefix`.

    GET  /         statistics (?sort=p99&limit=50), process, recommendations, stalls
    POST /start, /stop, /reset
    POST /cpu      ?seconds=5&format=html or speedscope: a flame graph of the event loop, to download
    POST /memory   ?seconds=5&format=html or json: what was allocated and stayed, to download

    They are about the process that answers. A profile ends when its client leaves, or the request's deadline comes.
    """

    def overview(request: Request) -> Response:
        query = request.query_params
        try:
            limit = max(0, int(query.get("limit", "100")))
        except ValueError:
            return problem(422, code="validation", detail="limit is a whole number")
        functions = [each.as_dict() for each in profiler.statistics()]
        sort = query.get("sort", "total")
        known = functions[0].keys() if functions else {sort}
        if sort not in known:
            return problem(422, code="validation", detail=f"sort is one of {', '.join(sorted(known))}")
        words = sort in {"name", "kind"}
        # What isn't measured comes last.
        functions.sort(key=lambda each: each[sort] if words else -1.0 if each[sort] is None else each[sort])
        if not words:
            functions.reverse()
        body = {
            "running": profiler.running,
            "profiling": profiler.profiling,
            "count": len(functions),
            "functions": functions[:limit],
            "process": profiler.process().as_dict(),
            "recommendations": [each.as_dict() for each in profiler.recommendations()],
            "stalls": [each.as_dict() for each in profiler.stalls()],
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def show(request: Request) -> Response:
        return overview(request)

    def steer(action: Callable[[], None]) -> Endpoint:
        async def steered(_request: Request) -> Response:
            action()
            return JSONResponse({"running": profiler.running}, headers={"Cache-Control": "no-store"})

        return steered

    return [
        Route(prefix, guard(show), methods=["GET"]),
        Route(f"{prefix}/start", guard(steer(profiler.start)), methods=["POST"]),
        Route(f"{prefix}/stop", guard(steer(profiler.stop)), methods=["POST"]),
        Route(f"{prefix}/reset", guard(steer(profiler.reset)), methods=["POST"]),
        Route(f"{prefix}/cpu", guard(_profile("cpu", profiler.cpu)), methods=["POST"]),
        Route(f"{prefix}/memory", guard(_profile("memory", profiler.memory)), methods=["POST"]),
    ]


def _profile(what: str, make: Callable[[float, str], Coroutine[Any, Any, str]]) -> Endpoint:
    async def profile(request: Request) -> Response:
        query = request.query_params
        form = query.get("format", "html")
        try:
            seconds = float(query.get("seconds", "5"))
        except ValueError:
            return problem(422, code="validation", detail="seconds is a number")
        left = deadline.remaining()
        if left is not None and seconds > left - _TO_DRAW:
            detail = f"this request has {left:.0f} s: ask for {max(0.0, left - _TO_DRAW):.0f} s or less"
            return problem(422, code="validation", detail=detail)
        try:
            text = await _unless_gone(request, make(seconds, form))
        except SeawallError as error:
            return _refused(error)
        if text is None:
            return problem(CLIENT_GONE, code="client-gone")
        return _download(what, form, text)

    return profile


async def _unless_gone(request: Request, work: Coroutine[Any, Any, str]) -> str | None:
    """What `work` returns; None, and it is cancelled, when the client has left before."""
    made = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({made, gone}, return_when=asyncio.FIRST_COMPLETED)
        return made.result() if made.done() else None
    finally:
        # Also when this request is cancelled: the profile must have ended before anybody goes on.
        made.cancel()
        gone.cancel()
        await asyncio.wait({made, gone})
        for task in (made, gone):
            if not task.cancelled():
                task.exception()  # it has been told already, or nobody is there to be told


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _refused(error: SeawallError) -> Response:
    if isinstance(error, OptionError):
        return problem(422, code=error.code, detail=str(error))
    if isinstance(error, MissingExtraError):
        return problem(501, code=error.code, detail=str(error))
    wait = getattr(error, "retry_after", None)
    headers = {} if wait is None else {"Retry-After": str(max(1, round(wait)))}
    return problem(error.status, code=error.code, detail=str(error), headers=headers)


def _download(what: str, form: str, text: str) -> Response:
    media_type, ending = _TYPES[form]
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Disposition": f'attachment; filename="{what}-{at}.{ending}"',
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(text, media_type=media_type, headers=headers)
