"""One provider behind its own port: latency, fault and counters around its routes."""

import asyncio
import math
import random

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from podcasts.stubs.faults import ActiveFault, Fault
from podcasts.stubs.listener import Listener
from podcasts.stubs.providers.provider import Provider, ProviderError
from podcasts.stubs.traffic import Traffic

LATENCY_SPREAD = 0.25
"""Share of the latency by which a healthy answer may come sooner or later."""


class ProviderServer:
    """A provider on a port of its own, with the latency of a network before it and at most one fault.

    A request whose client leaves while the answer is awaited is still carried out, as at the real providers: a
    customer may be billed although the caller saw a timeout. One that hangs or is reset is not carried out.
    """

    def __init__(self, provider: Provider, *, latency: float, seed: int) -> None:
        """Bind a free port. `latency` is in seconds; `seed` fixes its jitter and which requests a fault strikes."""
        self.name = provider.name
        self.listener = Listener(self)
        self.traffic = Traffic()
        self._provider = provider
        self._app = _application(provider)
        self._latency = latency
        self._seed = f"{seed}:{provider.name}"
        self._jitter = random.Random(self._seed)
        self._active: ActiveFault | None = None

    @property
    def fault(self) -> ActiveFault | None:
        """The fault at work, also when its count is used up."""
        return self._active

    async def set_fault(self, fault: Fault) -> None:
        """Put `fault` in the place of the present one; requests that hang in that one go on."""
        previous, self._active = self._active, ActiveFault(fault, seed=self._seed)
        if previous is not None:
            previous.clear()
        await (self.listener.close() if fault.kind == "refused" else self.listener.open())

    async def clear_fault(self) -> None:
        """Be healthy again, listening on the same port."""
        if self._active is not None:
            self._active.clear()
            self._active = None
        await self.listener.open()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or fail it as the fault says."""
        body = await _read(receive)
        if body is None:
            return
        active = self._active if self._active is not None and self._active.strikes() else None
        self.traffic.received += 1
        self.traffic.in_flight += 1
        left = asyncio.create_task(_departure(receive))
        try:
            await self._answer(active, scope, body, left, send)
        finally:
            self.traffic.in_flight -= 1
            left.cancel()
            await asyncio.wait({left})

    async def _answer(
        self, active: ActiveFault | None, scope: Scope, body: bytes, left: asyncio.Task[None], send: Send
    ) -> None:
        delay = self._latency * self._jitter.uniform(1 - LATENCY_SPREAD, 1 + LATENCY_SPREAD)
        fault = active.fault if active is not None else None
        if fault is not None:
            self.traffic.faulted[fault.kind] += 1
            if fault.kind == "slow":
                delay += fault.seconds
        await asyncio.wait({left}, timeout=delay)
        if fault is not None and fault.kind == "reset":
            self.listener.reset(scope["client"])
            await left
            return
        if active is not None and active.fault.kind == "hang":
            await _first(left, active)
            if left.done():
                self.traffic.abandoned += 1
                return

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                if left.done():
                    self.traffic.abandoned += 1
                else:
                    self.traffic.answered[message["status"]] += 1
            await send(message)

        replay = _replay(body, left)
        await self._choose(fault, Request(scope, replay))(scope, replay, count)

    def _choose(self, fault: Fault | None, request: Request) -> ASGIApp:
        if fault is not None and fault.kind == "rate_limited":
            response = self._respond(429, request)
            response.headers["Retry-After"] = str(math.ceil(fault.seconds))
            return response
        if fault is not None and fault.kind == "error":
            return self._respond(fault.status, request)
        if not self._provider.api_key(request):
            return self._respond(401, request)
        return self._app

    def _respond(self, status: int, request: Request) -> Response:
        return self._provider.respond(self._provider.error(status, request))


def _application(provider: Provider) -> Starlette:
    async def on_status(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - Starlette calls this handler with nothing else
        return provider.respond(provider.error(error.status_code, request))

    async def on_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ProviderError)  # noqa: S101 - Starlette calls this handler with nothing else
        return provider.respond(error)

    return Starlette(
        routes=list(provider.routes()), exception_handlers={HTTPException: on_status, ProviderError: on_error}
    )


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or None when the client left before it was complete."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first(left: asyncio.Task[None], active: ActiveFault) -> None:
    """Return when the client leaves or the fault is cleared."""
    cleared = asyncio.create_task(active.cleared())
    try:
        await asyncio.wait({left, cleared}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        cleared.cancel()


def _replay(body: bytes, left: asyncio.Task[None]) -> Receive:
    """Return a `receive` that hands out the body that was read already, then the client's departure."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.shield(left)
        return {"type": "http.disconnect"}

    return receive
