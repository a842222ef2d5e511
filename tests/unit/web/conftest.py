"""A site whose endpoints are cached, spoken to through ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Response
from starlette.responses import PlainTextResponse

from seawall.cache import Cache, Freshness, MemoryTier
from seawall.testing import FakeClock, virtual_time
from seawall.web.http_cache import http_cached, install_http_cache

Ask = Callable[..., Coroutine[Any, Any, httpx2.Response]]


class Site:
    """An application with a cache, and a count of its endpoint's runs."""

    def __init__(self, **categories: Freshness) -> None:
        self.clock = FakeClock()
        self.cache = Cache(MemoryTier(), categories=categories, clock=self.clock, freshness=Freshness(jitter=0))
        self.app = FastAPI()
        self.runs = 0

    def get(self, path: str = "/", **options: Any) -> Callable[[Any], Any]:
        """A cached route; its endpoint's result gets the number of the run where it is a string."""
        methods = options.pop("methods", ["GET", "HEAD"])

        def decorate(endpoint: Any) -> Any:
            return self.app.api_route(path, methods=methods)(http_cached(self.cache, **options)(endpoint))

        return decorate

    def count(self) -> int:
        self.runs += 1
        return self.runs

    def run(self, main: Callable[[Ask], Awaitable[None]], *, threads: bool = False) -> None:
        """Run a test against the application, in virtual time; in real time where it uses threads."""
        install_http_cache(self.app)
        if threads:
            asyncio.run(self._main(main))
        else:
            virtual_time.run(self._main(main), clock=self.clock)

    async def _main(self, main: Callable[[Ask], Awaitable[None]]) -> None:
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with self.cache, httpx2.AsyncClient(transport=transport, base_url="http://site") as http:

            async def ask(path: str = "/", method: str = "GET", **headers: str) -> httpx2.Response:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await http.request(method, path, headers={"accept-encoding": "identity"} | named)

            await main(ask)


@pytest.fixture
def site() -> Site:
    return Site()


def plain(site: Site, **options: Any) -> None:
    """An endpoint at / that answers with the number of its run."""

    @site.get(**options)
    async def numbered() -> Response:
        return PlainTextResponse(str(site.count()))
