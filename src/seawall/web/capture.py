"""An endpoint's run apart from the request that caused it: others wait for its response, so it must not end with it."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seawall.web.stored import Made

_logger = logging.getLogger("seawall.web")
_tasks: set[asyncio.Task[None]] = set()

RUN = "seawall.http_cache.run"
"""Where the scope of a refresh has the run that its response is for."""

running: ContextVar[Run | None] = ContextVar("seawall_http_cache_run", default=None)
"""The run under way, for the endpoint's wrapper to leave its arguments with."""


class Run:
    """Runs an endpoint in a task of its own, as far as its response is decided.

    response: what it made; None if it streams, and then `attach` hands the stream to whoever caused it. arguments:
    what the endpoint was called with, if it is to tell.
    """

    def __init__(self) -> None:
        self.response: Made | None = None
        self.arguments: dict[str, Any] = {}
        self._start: Message | None = None
        self._first: Message | None = None
        loop = asyncio.get_running_loop()
        self._decided: asyncio.Future[None] = loop.create_future()
        self._peer: asyncio.Future[tuple[Receive, Send]] = loop.create_future()
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    @property
    def streams(self) -> bool:
        """Whether its response is handed on as it comes."""
        return self._first is not None

    async def begin(self, app: ASGIApp, scope: Scope) -> None:
        """Run `app` until its response is decided. Raises what it raises before that; cancelled, it is cancelled."""
        self._task = task = asyncio.get_running_loop().create_task(self._run(app, scope))
        _tasks.add(task)
        task.add_done_callback(self._over)
        try:
            await self._decided
        except asyncio.CancelledError:
            self.stop()
            raise
        if self._first is None and self.response is None:
            if (error := task.exception()) is not None:
                raise error
            message = f"{scope['path']!r} ended without a response"
            raise RuntimeError(message)

    async def attach(self, receive: Receive, send: Send) -> None:
        """Hand the stream on until it ends. Whoever is cancelled here ends it."""
        if self._task is None or self._start is None or self._first is None:
            return
        try:
            await send(self._start)
            await send(self._first)
            self._peer.set_result((receive, send))
            await asyncio.shield(self._task)
        finally:
            self.stop()

    async def ended(self) -> None:
        """Wait for what it does behind its response: what the request lends it is in use until then."""
        if self._task is not None and not self._task.done():
            await asyncio.wait((self._task,))

    def stop(self) -> None:
        """Cancel what runs, unless its response is there: what goes on behind that is its own."""
        if self._task is not None and self.response is None:
            self._task.cancel()

    async def inside(self, app: ASGIApp, scope: Scope, send: Send) -> None:
        """The endpoint's part of a refresh that came through the whole application."""

        async def both(message: Message) -> None:
            await self._send(message)
            await send(message)

        await self._call(app, scope, both)

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        if RUN in scope:  # the whole application, which comes back by `inside`
            await app(scope, self._receive, nowhere)
        else:
            await self._call(app, scope, self._send)

    async def _call(self, app: ASGIApp, scope: Scope, send: Send) -> None:
        running.set(self)
        await app(scope, self._receive, send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        receive, _ = await asyncio.shield(self._peer)
        return await receive()

    async def _send(self, message: Message) -> None:
        if self.streams:
            _, send = await asyncio.shield(self._peer)
            await send(message)
        elif message["type"] == "http.response.start":
            self._start = message
        elif self._start is not None and self.response is None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                headers = list(self._start.get("headers", ()))
                self.response = Made(self._start["status"], headers, message.get("body", b""))
            else:
                self._first = message
            self._decide()

    def _decide(self) -> None:
        if not self._decided.done():
            self._decided.set_result(None)

    def _over(self, task: asyncio.Task[None]) -> None:
        _tasks.discard(task)
        self._decide()
        if not task.cancelled() and (error := task.exception()) is not None and self.response is not None:
            _logger.error("an endpoint failed behind its response", exc_info=error)


def detached(scope: Scope) -> Scope:
    """A copy of `scope` for a run that may outlast its request: changes to either are not the other's."""
    copy = {name: dict(value) if type(value) is dict else value for name, value in scope.items()}
    headers = [each for each in scope["headers"] if each[0] not in _OF_THE_CLIENT]
    return copy | {"method": "GET", "headers": headers}


def anew(scope: Scope, run: Run) -> Scope:
    """A scope as a server would make it, for a refresh whose request is over: the application fills in the rest."""
    found = {name: scope[name] for name in _OF_THE_SERVER if name in scope}
    if "app_root_path" in scope:
        found["root_path"] = scope["app_root_path"]
    return {**detached(found), RUN: run}


async def nowhere(_: Message) -> None:
    """Where the response of a refresh goes after it was taken."""


_OF_THE_CLIENT = frozenset({
    b"cache-control", b"pragma", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since",
    b"if-range", b"range",
})  # fmt: skip
_OF_THE_SERVER = (
    "type", "asgi", "http_version", "scheme", "path", "raw_path", "query_string", "root_path", "headers", "client",
    "server", "state",
)  # fmt: skip
