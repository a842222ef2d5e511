"""An app that fails, what answers it by hand, and a client."""

import asyncio
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.responses import PlainTextResponse


def ask(app: Any, path: str) -> httpx2.Response:
    async def once() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.get(path)

    return asyncio.run(once())


def failing(error: Exception) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def endpoint(number: int = 0) -> None:
        raise error

    return app


def by_hand(request: Any, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"mine: {type(error).__name__}", 418)


async def by_hand_async(request: Any, error: Exception) -> PlainTextResponse:
    return by_hand(request, error)
