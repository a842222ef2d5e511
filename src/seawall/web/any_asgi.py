"""The layer around an app that is neither Starlette nor FastAPI: anything that speaks ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message


class StartFailedError(RuntimeError):
    """The app inside could not start; the message is its own."""


def around(app: ASGIApp) -> Starlette:
    """A Starlette app without routes that hands every request and websocket to `app`, and starts and stops it."""

    @asynccontextmanager
    async def lifespan(_outer: Any) -> AsyncIterator[dict[str, Any]]:
        async with _lifespan_of(app) as state:
            yield state

    outer = Starlette(lifespan=lifespan)
    outer.router.default = app
    outer.router.redirect_slashes = False
    return outer


@asynccontextmanager
async def _lifespan_of(app: ASGIApp) -> AsyncIterator[dict[str, Any]]:
    """Speaks the lifespan protocol with `app`, unless it doesn't know that. Raises `StartFailedError`."""
    state: dict[str, Any] = {}
    told: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}

    async def speak() -> None:
        try:
            await app(scope, told.get, answers.put)
        finally:
            await answers.put({"type": "ended"})

    task = asyncio.create_task(speak())
    try:
        await told.put({"type": "lifespan.startup"})
        answer = await answers.get()
        if answer["type"] == "lifespan.startup.failed":
            raise StartFailedError(answer.get("message", "") or "the app did not start")
        yield state
        if answer["type"] != "ended":
            await told.put({"type": "lifespan.shutdown"})
            await answers.get()
    finally:
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # of an app that doesn't know the protocol: not worth a warning
