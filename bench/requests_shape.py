"""The apps that all layers are put around, the requests they get, and what a layer must show that it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLED = 0.1
"""Share of the requests that is traced, by whoever begins the trace."""

CALLED = 10
"""One request in so many is part of its caller's trace; a tenth of those traces is recorded."""

LIMIT = "1000000000/second"
"""A rate limit that no run reaches."""

FAILURE = "password=hunter2"
"""The text of the exception that `/boom` raises; nothing of it belongs into an answer."""

HEADERS = (
    ("host", "podcasts.example"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"),
    ("accept", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br"),
    ("connection", "keep-alive"),
)

WORKERS = 8
"""Processes that count, of which one is asked."""

LABELS = ("method", "route", "status")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 30.0)
ROUTES = 500
"""Each has a counter and a histogram: two series."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a layer may write to. sink: a URL where whatever is sent arrives, and is counted for this layer alone."""

    folder: Path
    sink: str

    @property
    def log(self) -> Path:
        """Where it writes a line for each request, if it does."""
        return self.folder / "access.log"

    @property
    def dsn(self) -> str:
        """The same sink, as Sentry's libraries want it."""
        return f"{self.sink.replace('://', '://bench@', 1)}/1"


@dataclass(frozen=True, kw_only=True)
class Layered:
    """An app with a layer around it, and what the layer claims to do, which is looked at before it is timed.

    headers: in every answer. logs: a line for each request. metrics: at `/metrics`, by the route's template. traces,
    errors: that it sends them. flush: writes and sends what its threads have gathered, so that it is timed too.
    """

    app: Any
    headers: tuple[str, ...] = ()
    logs: bool = False
    metrics: bool = False
    traces: bool = False
    errors: bool = False
    flush: Callable[[], object] = lambda: None


def starlette_app() -> Any:
    """`/x/{id}` answers with plain text, `/boom/{id}` raises."""
    from starlette.applications import Starlette  # noqa: PLC0415 - a contender loads it before or after its libraries
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import PlainTextResponse  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def item(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"item {request.path_params['id']}")

    async def boom(request: Request) -> PlainTextResponse:
        raise ValueError(FAILURE)

    return Starlette(routes=[Route("/x/{id}", item), Route("/boom/{id}", boom)])


def fastapi_app() -> Any:
    """`/x/{id}` answers with a validated model, `/boom/{id}` raises."""
    from fastapi import FastAPI  # noqa: PLC0415 - only where it is measured
    from pydantic import BaseModel  # noqa: PLC0415

    class Item(BaseModel):
        id: int
        name: str
        tags: list[str]

    app = FastAPI()

    @app.get("/x/{id}")
    async def item(id: int) -> Item:  # noqa: A002 - the path's name for it
        return Item(id=id, name=f"item {id}", tags=["new", "audio"])

    @app.get("/boom/{id}")
    async def boom(id: int) -> Item:  # noqa: A002
        raise ValueError(FAILURE)

    return app


def traceparent(number: int) -> str | None:
    """The header of the request of this number, if its caller traces: each a trace of its own, some recorded."""
    if number % CALLED:
        return None
    recorded = number // CALLED % CALLED == 0
    return f"00-{number + 1:032x}-{number + 1:016x}-{'01' if recorded else '00'}"


Scrape = Callable[[], bytes]
"""All metrics of all processes, as Prometheus reads them."""

Counting = Callable[[Path], Scrape]
"""Counts in this process what `counts` says, in this folder."""


def counts() -> Mapping[tuple[str, str, str], tuple[int, float]]:
    """What each worker has counted: by method, route and status how many requests, and the seconds of one."""
    return {("GET", f"/podcasts/{{id}}/part{number}", "200"): (number + 1, 0.004) for number in range(ROUTES)}
