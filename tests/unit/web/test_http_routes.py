"""Where HTTP caching is put: routers, plain applications, services; and what it refuses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Request, Response
from fastapi.security import APIKeyHeader
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from seawall import Seawall
from seawall.core import OptionError
from seawall.settings import Settings
from seawall.web.http_cache import http_cached, install_http_cache
from tests.unit.web.conftest import Ask


def test_a_router_included_twice_and_a_plain_starlette_app(site):
    router = APIRouter()

    @router.get("/numbered")
    @http_cached(site.cache)
    async def numbered(mode: Annotated[str | None, Cookie()] = None) -> str:
        return str(site.count())

    @http_cached(site.cache)
    async def starlette(_: Request) -> Response:
        return PlainTextResponse(f"{site.count()}")

    site.app.include_router(router, prefix="/one")
    site.app.include_router(router, prefix="/two", dependencies=[Depends(APIKeyHeader(name="x-key", auto_error=False))])
    site.app.mount("/old", Starlette(routes=[Route("/", starlette), Mount("/deep", routes=[Route("/", starlette)])]))
    install_http_cache(site.app)

    async def main(ask: Ask) -> None:
        for path in ("/one/numbered", "/two/numbered", "/old/", "/old/deep/"):
            assert (await ask(path)).text == (await ask(path)).text
        assert site.runs == 4
        assert (await ask("/one/numbered", "POST")).status_code == 405
        assert (await ask("/two/numbered", x_key="a")).json() == "5"

    site.run(main)


def test_seawall_installs_it_when_the_service_starts():
    sea = Seawall(service="test", settings=Settings())
    app = sea.install(FastAPI())
    runs: list[int] = []

    @app.get("/")
    @http_cached(sea.cache)
    def endpoint() -> int:
        runs.append(1)
        return len(runs)

    async def main() -> None:
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://t") as http,
        ):
            first, second = [await http.get("/") for _ in range(2)]
            assert (first.text, second.text) == ("1", "1")
            assert first.headers["x-request-id"] != second.headers["x-request-id"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"max_age": -1},
        {"ttl": 0},
        {"s_maxage": 0.5},
        {"max_bytes": 0},
        {"statuses": [206]},
        {"tags": "tenant"},
        {"category": "x"},
    ],
)
def test_impossible_options_are_refused(site, options):
    with pytest.raises(OptionError):
        http_cached(site.cache, **options)


def test_a_tag_of_no_parameter_a_stream_and_an_object_in_a_tag_are_refused(site):
    async def endpoint(tenant: Request) -> str:
        return "x"

    async def stream() -> AsyncIterator[str]:
        yield "x"

    with pytest.raises(OptionError, match="tenant_id"):
        http_cached(site.cache, tags=["tenant:{tenant_id}"])(endpoint)
    with pytest.raises(TypeError, match="streams"):
        http_cached(site.cache)(stream)
    site.get(tags=["tenant:{tenant}"])(endpoint)

    async def main(ask: Ask) -> None:
        assert (await ask()).status_code == 500

    site.run(main)
