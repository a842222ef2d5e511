"""Carries a caller's database position from request to request, so that it reads what it has written."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAME = "seawall-position"
"""The cookie, and the header for clients that keep no cookies."""
LONGEST = 256


class CallerLike(Protocol):
    """One caller for the length of a request."""

    def token(self) -> str | None:
        """What to hand in with the next request; None if nothing was read or written."""
        ...


class ConsistencyLike(Protocol):
    """Knows callers by what they bring; `seawall.database.Database` is one."""

    def admitting(self, token: str | None) -> AbstractContextManager[CallerLike]:
        """A block in which everything is done for the caller with `token`."""
        ...


class ConsistencyMiddleware:
    """Wraps an ASGI app. A request is served with at least what its caller wrote and read before, in any process.

    The position comes with the cookie or the header `seawall-position`, and goes back the same two ways when it has
    changed. It is taken when the response begins: commit before that, not in what runs after the response.
    """

    def __init__(self, app: ASGIApp, *, database: ConsistencyLike) -> None:
        self.app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        given = _given(Headers(scope=scope))
        with self._database.admitting(given) as caller:

            async def send_with_position(message: Message) -> None:
                if message["type"] == "http.response.start":
                    token = caller.token()
                    if token is not None and token != given:
                        headers = MutableHeaders(scope=message)
                        headers[NAME] = token
                        secure = "; Secure" if scope.get("scheme") == "https" else ""
                        headers.append("set-cookie", f"{NAME}={token}; Path=/; HttpOnly; SameSite=Lax{secure}")
                await send(message)

            await self.app(scope, receive, send_with_position)


def _given(headers: Headers) -> str | None:
    token = headers.get(NAME)
    if token is None and NAME in (cookies := headers.get("cookie", "")):
        token = cookie_parser(cookies).get(NAME)
    return token[:LONGEST] if token is not None else None
