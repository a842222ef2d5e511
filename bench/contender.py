"""A layer around a Starlette app, called in this process without a server: a child of the scenarios.

`python -m bench.contender <peer module> <folder> <sink>`. Commands: `lap` and `distinct`.
"""

import asyncio
import contextlib
import gc
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

from bench.children import Parent
from bench.proof import Answer, prove
from bench.registry import find
from bench.requests_shape import HEADERS, Place, starlette_app, traceparent

_PLAIN = [(name.encode(), value.encode()) for name, value in HEADERS]
_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8000),
    "client": ("127.0.0.1", 40_000),
    "scheme": "http",
    "root_path": "",
    "query_string": b"",
}
_REQUEST = {"type": "http.request", "body": b"", "more_body": False}
_GONE = {"type": "http.disconnect"}


class _Exchange:
    """One request without a body, and its answer."""

    __slots__ = ("answered", "asked", "body", "ended", "headers", "status")

    def __init__(self) -> None:
        self.asked = self.answered = False
        self.status = 0
        self.headers: Any = ()
        self.body = b""
        self.ended: asyncio.Event | None = None

    async def receive(self) -> dict[str, Any]:
        """The request, then that the client is gone, as soon as it has its answer."""
        if not self.asked:
            self.asked = True
            return _REQUEST
        if not self.answered:
            self.ended = self.ended or asyncio.Event()
            await self.ended.wait()
        return _GONE

    async def send(self, message: Mapping[str, Any]) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                self.answered = True
                if self.ended is not None:
                    self.ended.set()


class Client:
    """Calls an app, with a new number for each request."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._number = 0

    async def request(self, path: str, headers: list[tuple[bytes, bytes]], method: str = "GET") -> _Exchange:
        """Send a request, and return when it is served."""
        exchange = _Exchange()
        scope = {**_SCOPE, "method": method, "path": path, "raw_path": path.encode(), "headers": headers, "state": {}}
        await self.app(scope, exchange.receive, exchange.send)
        return exchange

    async def lap(self, calls: int) -> None:
        """Make so many requests, one after the other."""
        for _ in repeat(None, calls):
            self._number = number = self._number + 1
            parent = traceparent(number)
            headers = list(_PLAIN) if parent is None else [*_PLAIN, (b"traceparent", parent.encode())]
            exchange = await self.request(f"/x/{number}", headers)
            if exchange.status != 200:
                raise LookupError(f"answered {exchange.status}")

    async def distinct(self, requests: int) -> int:
        """Make so many requests that have nothing in common; bytes of memory that the process has then."""
        for _ in repeat(None, requests):
            self._number = number = self._number + 1
            found, odd = number % 2 == 0, number % 4 == 1
            headers = [
                *_PLAIN,
                (b"x-request-id", f"{number:032x}".encode()),
                (b"traceparent", f"00-{number:032x}-{number:016x}-00".encode()),
            ]
            path = f"/x/{number}" if found or odd else f"/nowhere/{number}"
            await self.request(path, headers, f"M{number}" if odd else "GET")
            if number % 100 == 0:
                await asyncio.sleep(0)  # whoever has something to do besides may do it
        await asyncio.sleep(0.2)
        gc.collect()
        return _resident()

    async def ask(self, path: str, headers: Mapping[str, str]) -> Answer:
        """For `prove`: what a request got, also where the app raises after its answer, as Starlette does."""
        sent = [*_PLAIN, *((name.encode(), value.encode()) for name, value in headers.items())]
        exchange = _Exchange()
        scope = {**_SCOPE, "method": "GET", "path": path, "raw_path": path.encode(), "headers": sent, "state": {}}
        with contextlib.suppress(ValueError):
            await self.app(scope, exchange.receive, exchange.send)
        got = {bytes(name).decode().lower(): bytes(value).decode() for name, value in exchange.headers}
        return Answer(status=exchange.status, headers=got, body=exchange.body.decode())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main(path: str, folder: str, sink: str) -> None:
    """Be the contender until the parent is gone."""
    parent = Parent()
    warnings.simplefilter("ignore")
    place = Place(folder=Path(folder), sink=sink)
    asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
    try:
        peer = find(path)
        getattr(peer, "first", _nothing)(place)
        app = starlette_app()
        layered = peer.starlette(app, place)
        async with app.router.lifespan_context(app):
            client = Client(layered.app)
            await prove(layered, place, client.ask, "item 7")
            gc.collect()
            gc.freeze()
            parent.say("ready")
            await _obey(parent, client, layered.flush)
    except Exception as error:  # noqa: BLE001  the scenario writes it into the table
        parent.fail(error)
    os._exit(0)  # whatever a peer has left running, nobody waits for it


def _nothing(_: Place) -> None:
    """Nothing must be there before the app is made."""


async def _obey(parent: Parent, client: Client, flush: Callable[[], object]) -> None:
    while (command := await asyncio.to_thread(parent.hear)) is not None:
        try:
            if command["command"] == "distinct":
                parent.say(await client.distinct(command["requests"]))
                continue
            gc.collect()
            gc.disable()
            cpu, thread, wall = time.process_time_ns(), time.thread_time_ns(), time.perf_counter_ns()
            await client.lap(command["calls"])
            await asyncio.sleep(0)
            took = {"thread": time.thread_time_ns() - thread, "wall": time.perf_counter_ns() - wall}
            await asyncio.to_thread(flush)
            took["cpu"] = time.process_time_ns() - cpu
            gc.enable()
            parent.say(took)
        except Exception as error:  # noqa: BLE001
            gc.enable()
            parent.fail(error)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
