"""Loads a server over connections that are kept: a child of the scenarios, `python -m bench.load`.

Each connection sends its next request when it has the answer to the last. A server may close a connection after an
answer; then the client connects anew, within the time that its next request takes. Command: `burst`.
"""

import asyncio
import gc
import time
from dataclasses import dataclass, field
from typing import Any

from bench.children import Parent
from bench.requests_shape import HEADERS, traceparent

_PATIENCE = 10.0
"""Seconds that answers may take when the time is up."""
_LOST = 100
"""Requests in a row that a server may leave without an answer."""
_HEADERS = "".join(f"{name}: {value}\r\n" for name, value in HEADERS)


@dataclass(kw_only=True)
class Burst:
    """A load for `seconds`, and of at most `most` requests; how it went."""

    port: int
    path: str
    status: int
    connections: int
    seconds: float
    most: int
    first: int = 0
    sent: int = field(default=0, init=False)
    wrong: str = field(default="", init=False)
    anew: int = field(default=0, init=False)
    lost: int = field(default=0, init=False)
    took: list[float] = field(default_factory=list, init=False)
    ends: float = field(default=0.0, init=False)

    async def run(self) -> dict[str, float]:
        """Send it all, and say how long answers took. Raises `LookupError` for an answer that isn't as expected."""
        began, cpu = time.perf_counter(), time.process_time()
        self.ends = began + self.seconds
        gc.collect()
        gc.disable()
        try:
            async with asyncio.timeout(self.seconds + _PATIENCE):
                await asyncio.gather(*(_Client(self).run() for _ in range(self.connections)))
        finally:
            gc.enable()
        if self.wrong or not self.took:
            raise LookupError(self.wrong or "no answer")
        elapsed, took = time.perf_counter() - began, sorted(self.took)
        return {
            "answers": len(took),
            "rate": len(took) / elapsed,
            "p50": took[len(took) // 2] * 1e3,
            "p99": took[len(took) * 99 // 100] * 1e3,
            "worst": took[-1] * 1e3,
            "anew": self.anew,
            "busy": (time.process_time() - cpu) / elapsed,
        }

    def over(self) -> bool:
        """Whether nothing more is sent."""
        return bool(self.wrong) or self.sent >= self.most or time.perf_counter() > self.ends

    def next(self) -> bytes:
        """The next request."""
        number = self.first + self.sent
        self.sent += 1
        parent = traceparent(number)
        traced = "" if parent is None else f"traceparent: {parent}\r\n"
        return f"GET {self.path.format(number)} HTTP/1.1\r\n{_HEADERS}{traced}\r\n".encode()


class _Client(asyncio.Protocol):
    """One connection after the other, one request after the other."""

    def __init__(self, burst: Burst) -> None:
        self._burst = burst
        self._transport: Any = None
        self._data = b""
        self._request = b""
        self._began = 0.0

    async def run(self) -> None:
        """Until nothing more is sent."""
        self._done = asyncio.get_running_loop().create_future()
        self._begin()
        await self._connect()
        await self._done

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._burst.port)
        except OSError as error:
            self._burst.wrong = str(error)
            self._finish()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._data = b""
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = _end(self._data)
        if end is None:
            return
        burst = self._burst
        burst.took.append(time.perf_counter() - self._began)
        burst.lost = 0
        if int(self._data[9:12]) != burst.status:
            burst.wrong = f"answered {self._data[:60]!r}"
        self._data = self._data[end:]
        if burst.over():
            self._finish()
            return
        self._begin()
        if not self._transport.is_closing():
            self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done.done():
            return
        # The server hung up after the last answer; the request is still to be served.
        self._burst.anew += 1
        self._burst.lost += 1
        if self._burst.lost > _LOST:
            self._burst.wrong = "connections are closed without an answer"
            self._finish()
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def _begin(self) -> None:
        self._request = self._burst.next()
        self._began = time.perf_counter()

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)
        if self._transport is not None:
            self._transport.close()


def _end(data: bytes) -> int | None:
    """Where the answer at the beginning of `data` ends; None while it is not all there."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    head += 4
    start = data[:head].lower()
    place = start.find(b"\r\ncontent-length:")
    if place < 0:
        end = data.find(b"0\r\n\r\n", head)  # in chunks; none of the answers has this in it
        return None if end < 0 else end + 5
    length = int(start[place + 17 : start.index(b"\r\n", place + 2)])
    return head + length if len(data) >= head + length else None


async def main() -> None:
    """Load until the parent is gone."""
    parent = Parent()
    parent.say("ready")
    sent = 0
    while (command := await asyncio.to_thread(parent.hear)) is not None:
        command.pop("command")
        burst = Burst(**command, first=sent)
        try:
            parent.say(await burst.run())
        except Exception as error:  # noqa: BLE001  the scenario writes it into the table
            parent.fail(error)
        sent += burst.sent


if __name__ == "__main__":
    asyncio.run(main())
