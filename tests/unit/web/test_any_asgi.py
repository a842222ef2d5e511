"""The layer around an app that only speaks ASGI."""

import asyncio
from typing import Any

import httpx2
import pytest

from seawall import Seawall
from seawall.core import correlation
from seawall.settings import Settings
from seawall.web.any_asgi import StartFailedError


async def plain(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/fails":
        message = "the-inner-detail"
        raise ValueError(message)
    work = correlation.current.get()
    assert work is not None
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"{scope['path']} {work.request_id}".encode()})


class Living:
    """One that knows the lifespan protocol."""

    def __init__(self, *, fails: bool = False) -> None:
        self.journal: list[str] = []
        self._fails = fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            assert scope["state"]["pool"] == "a pool"
            await plain(scope, receive, send)
            return
        assert (await receive())["type"] == "lifespan.startup"
        if self._fails:
            await send({"type": "lifespan.startup.failed", "message": "no disk"})
            return
        scope["state"]["pool"] = "a pool"
        self.journal.append("started")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.journal.append("stopped")
        await send({"type": "lifespan.shutdown.complete"})


def ask(app: Any, *paths: str) -> list[httpx2.Response]:
    async def main() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            return [await http.get(path, headers={"x-request-id": "r1"}) for path in paths]

    return asyncio.run(main())


def test_its_requests_go_through_and_the_layers_own_paths_are_there():
    app = Seawall(service="test", settings=Settings()).install(plain)
    through, health, failed, metrics = ask(app, "/some/path", "/health", "/fails", "/metrics")
    assert through.text == "/some/path r1"
    assert through.headers["x-request-id"] == "r1"
    assert health.json()["status"] == "healthy"
    assert (failed.status_code, failed.headers["content-type"]) == (500, "application/problem+json")
    assert "the-inner-detail" not in failed.text
    assert 'http_requests_total{method="GET",route="(unmatched)",status="200"} 1' in metrics.text


def test_it_is_started_and_stopped_with_the_parts():
    inside = Living()
    sea = Seawall(service="test", settings=Settings())
    app: Any = sea.install(inside)
    assert sea.install(inside) is app
    assert sea.install(app) is app

    async def main() -> None:
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[str] = []

        async def receive() -> Any:
            if len(messages) == 1:
                assert inside.journal == ["started"]
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan", "state": {}, "asgi": {"version": "3.0"}}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(main())
    assert inside.journal == ["started", "stopped"]


def test_an_app_that_cannot_start_says_why():
    app: Any = Seawall(service="test", settings=Settings()).install(Living(fails=True))

    async def main() -> None:
        async with app.router.lifespan_context(app):
            raise AssertionError

    with pytest.raises(StartFailedError, match="no disk"):
        asyncio.run(main())


def test_one_that_knows_no_lifespan_is_served_all_the_same():
    app: Any = Seawall(service="test", settings=Settings()).install(plain)

    async def main() -> None:
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
                assert (await http.get("/health/ready")).json()["status"] in {"healthy", "degraded"}

    asyncio.run(main())
