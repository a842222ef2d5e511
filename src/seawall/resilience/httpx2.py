"""Puts every request of an httpx2 client, and so of any SDK built on it, behind a pipeline.

client = httpx2.AsyncClient(transport=PipelineTransport(pipeline))
openai = AsyncOpenAI(http_client=client, max_retries=0)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from seawall.core import SYSTEM_CLOCK, Clock, Events, MissingExtraError
from seawall.resilience.http import FAILED_STATUSES, ResponseError, Trace, failed_by, write_deadline
from seawall.resilience.policy import Policy

try:
    import httpx2
except ImportError:
    raise MissingExtraError("seawall.resilience.httpx2", "httpx2", "httpx2") from None


class PipelineTransport(httpx2.AsyncBaseTransport):
    """Sends each request through `pipeline`, and with it the deadline and the trace.

    In the pipeline a response with a status in `failed`, or of which `failed` is true, is a `ResponseError`, so
    name that in
    `Retry(on=(httpx2.TransportError, ResponseError), idempotent=idempotent)`; the client gets the response. The
    remaining time goes out as the header `Request-Timeout` and bounds the socket timeouts. Without a pipeline
    only that is done. A failed response is read whole, so that its connection is free for the next attempt; for
    any other the pipeline ends with the headers: a body that trickles in is bounded by the client's read timeout.
    Leave the SDK's own retries off, or they multiply.

    `traceparent` tells the receiver to which trace it belongs, unless the caller has set one; recorded requests are
    told as `RequestSent` to `events`, the pipeline's by default.
    """

    def __init__(
        self,
        pipeline: Policy | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        failed: Collection[int] | Callable[[httpx2.Response], bool] = FAILED_STATUSES,
        events: Events | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._events = pipeline.events if events is None and pipeline is not None else events
        self._transport = transport or httpx2.AsyncHTTPTransport()
        self._failed = failed_by(failed)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request`, as often as the pipeline says."""
        trace = Trace(self._events, request.method, request.headers)
        try:
            if self._pipeline is None:
                return await self._send(request, trace, SYSTEM_CLOCK)
            return await self._send_through(self._pipeline, request, trace)
        finally:
            trace.done()

    async def _send(self, request: httpx2.Request, trace: Trace, clock: Clock) -> httpx2.Response:
        """One attempt."""
        _obey_deadline(request, clock)
        with trace.attempt(request.url.host, request.url.port) as attempt:
            response = attempt.answer = await self._transport.handle_async_request(request)
        return response

    async def _send_through(self, pipeline: Policy, request: httpx2.Request, trace: Trace) -> httpx2.Response:
        clock = pipeline.clock

        async def send(request: httpx2.Request) -> httpx2.Response:
            response = await self._send(request, trace, clock)
            if self._failed(response):
                raise ResponseError(await _read(response), response.status_code, clock)
            return response

        try:
            return await pipeline.call(send, request)
        except ResponseError as error:
            response: httpx2.Response = error.response
            return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


async def _read(response: httpx2.Response) -> httpx2.Response:
    """The same response, from memory."""
    try:
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - what async transports answer with
        body = b"".join([part async for part in response.stream])
    finally:
        await response.aclose()
    return httpx2.Response(
        response.status_code,
        headers=response.headers,
        stream=httpx2.ByteStream(body),
        extensions=response.extensions,
    )


def _obey_deadline(request: httpx2.Request, clock: Clock) -> None:
    left = write_deadline(request.headers, clock)
    if left is not None:
        timeout: dict[str, Any] = request.extensions.get("timeout", {})
        bounded = {name: left if timeout.get(name) is None else min(left, timeout[name]) for name in _TIMEOUTS}
        request.extensions = {**request.extensions, "timeout": bounded}


_TIMEOUTS = ("connect", "read", "write", "pool")
