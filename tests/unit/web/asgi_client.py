"""A client that drives an app through ASGI, and an app with the layer around it."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message

from seawall.web.layer import Layer, Served
from seawall.web.middleware import SeawallMiddleware


@dataclass
class Log:
    """A recorder."""

    active: int = 0
    served: list[Served] = field(default_factory=list)

    def began(self) -> None:
        self.active += 1

    def ended(self, served: Served) -> None:
        self.active -= 1
        self.served.append(served)


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any,
    path: str,
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    body: list[bytes] | None = None,
    leave_after: int | None = None,
    root_path: str = "",
) -> Answer:
    """One request. leave_after: the client goes away after so many messages of the answer."""
    answer, left = Answer(), asyncio.Event()
    parts = list(body or [b""])

    async def receive() -> Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
        await left.wait()
        return {"type": "http.disconnect"}

    sent = 0

    async def send(message: Message) -> None:
        nonlocal sent
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body", False)
        sent += 1
        if sent == leave_after:
            left.set()

    scope = {
        "type": "http", "method": method, "path": root_path + path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "root_path": root_path, "scheme": "http", "client": ("192.0.2.7", 1), "server": ("test", 80),
        "http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip
    await app(scope, receive, send)
    return answer


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def layered(*routes: Any, **options: Any) -> tuple[Any, Log]:
    log = Log()
    return SeawallMiddleware(Starlette(routes=list(routes)), layer=Layer(recorders=(log,), **options)), log
