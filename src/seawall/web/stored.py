"""A response as it is stored and sent: which may be, which of its headers, and what is said of it to other caches."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from starlette.types import Send

from seawall.web.conditional import NOT_MODIFIED, directives, etag_of, precondition, seconds

RawHeaders = Sequence[tuple[bytes, bytes]]

_OF_ONE_EXCHANGE = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authentication-info", b"proxy-connection", b"te",
    b"trailer", b"transfer-encoding", b"upgrade",
    b"age", b"date", b"server", b"set-cookie",
    b"server-timing", b"traceparent", b"tracestate", b"x-correlation-id", b"x-process-time", b"x-request-id",
})  # fmt: skip
"""Headers of one connection, one request or one user: RFC 9111 §3.1, and what names a request."""

_PROBLEM = "application/problem+json"
_IDS = frozenset({"request_id", "trace_id", "error_id"})

_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Stored:
    """A response that may be given to others. `made`: when, in seconds since the epoch. `status` 0: there is none."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    etag: str | None = None
    made: float = 0.0


PASS = Stored(0)
"""In place of a response nobody else may have: whoever finds it asks the endpoint for his own."""

AGAIN = Stored(-1)
"""In place of a response that depends on headers nobody knew of: whoever finds it looks under another key."""


@dataclass(frozen=True, slots=True)
class Made:
    """A response that an endpoint made for one request."""

    status: int
    headers: RawHeaders
    body: bytes = b""

    def header(self, name: bytes) -> str | None:
        """The lines of one header, joined; None without it."""
        found = [value for each, value in self.headers if each.lower() == name]
        return b", ".join(found).decode("latin-1") if found else None

    @property
    def vary(self) -> tuple[str, ...]:
        """The request headers it says it depends on, in lower case."""
        return tuple(name for each in (self.header(b"vary") or "").split(",") if (name := each.strip().lower()))

    @property
    def control(self) -> dict[str, str]:
        """What the endpoint says of caching it."""
        return directives(self.header(b"cache-control") or "")

    @property
    def own(self) -> bool:
        """Whether it is for whoever asked alone."""
        return self.header(b"set-cookie") is not None or not self.control.keys().isdisjoint({"private", "no-store"})

    def ttl(self, ttl: float, statuses: Collection[int], max_bytes: int) -> float:
        """For how many of `ttl` seconds it may be stored and given to others; 0 for not at all."""
        control = self.control
        if (
            self.status not in statuses
            or self.own
            or "no-cache" in control
            or "*" in self.vary
            or len(self.body) > max_bytes
        ):
            return 0.0
        own = seconds(control, "s-maxage")
        own = seconds(control, "max-age") if own is None else own
        return ttl if own is None else min(ttl, float(own))

    def dressed(self, cache_control: str, vary: Iterable[str]) -> Made:
        """With a Cache-Control header, unless it has one, and a Vary that also names `vary`."""
        headers = [each for each in self.headers if each[0].lower() != b"vary"]
        if self.header(b"cache-control") is None:
            if self.own:
                cache_control = "private, no-cache"
            elif self.status >= HTTPStatus.BAD_REQUEST:
                cache_control = "no-store"
            headers.append((b"cache-control", cache_control.encode("latin-1")))
        named = tuple(dict.fromkeys((*self.vary, *vary)))
        if named:
            headers.append((b"vary", b"*" if "*" in named else ", ".join(named).encode("latin-1")))
        return Made(self.status, headers, self.body)

    def stored(self, made: float = 0.0) -> Stored:
        """What others may have of it, with an entity tag where it is a success."""
        gone = _OF_ONE_EXCHANGE | {
            name.strip().lower().encode("latin-1") for name in (self.header(b"connection") or "").split(",")
        }
        whole = self.whole(made)
        kept = replace(whole, headers=tuple(each for each in whole.headers if each[0] not in gone))
        return _without_ids(kept) if self.header(b"content-type") == _PROBLEM else kept

    def whole(self, made: float = 0.0, *, tagged: bool = True) -> Stored:
        """All of it, for whoever asked. tagged: make an entity tag of the body, unless it has one."""
        etag = self.header(b"etag")
        if etag is None and tagged and self.status in _SUCCESS:
            etag = etag_of(self.body)
        headers = tuple((name.lower(), value) for name, value in self.headers if name.lower() != b"etag")
        return Stored(self.status, headers, self.body, etag, made)

    def answered_by(self, request: Mapping[bytes, bytes]) -> bool:
        """Whether the preconditions of `request` make it another one, judged by its own entity tag and date."""
        if self.status not in _SUCCESS or request.keys().isdisjoint(PRECONDITIONS):
            return False
        return precondition(request, self.header(b"etag"), self.header(b"last-modified")) is not None


def _without_ids(problem: Stored) -> Stored:
    """A problem's description without what names the request that met it."""
    try:
        members = json.loads(problem.body)
        if not isinstance(members, dict):
            return problem
        body = json.dumps({name: members[name] for name in members if name not in _IDS}).encode()
    except (ValueError, RecursionError):
        return problem
    headers = tuple(
        (name, b"%d" % len(body) if name == b"content-length" else value) for name, value in problem.headers
    )
    return replace(problem, headers=headers, body=body)


async def give(
    response: Stored,
    send: Send,
    request: Mapping[bytes, bytes],
    *,
    head: bool = False,
    weak: bool = False,
    age: float | None = None,
) -> None:
    """Send `response`, or a 304 or 412 where the request's preconditions say so.

    weak: the entity tag becomes a weak one. age: seconds since it was made, for one that was stored.
    """
    status, body, etag = response.status, response.body, response.etag
    headers = list(response.headers)
    if etag is not None:
        if weak and etag[:2] != "W/":
            etag = f"W/{etag}"
        headers.append((b"etag", etag.encode("latin-1")))
    if age is not None:
        headers.append((b"age", b"%d" % max(0, int(age))))
    if status in _SUCCESS and not request.keys().isdisjoint(PRECONDITIONS):
        status, headers, body = _under_conditions(request, status, headers, body, etag)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


PRECONDITIONS = frozenset({b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"})


def _under_conditions(
    request: Mapping[bytes, bytes], status: int, headers: list[tuple[bytes, bytes]], body: bytes, etag: str | None
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    modified = next((value.decode("latin-1") for name, value in headers if name == b"last-modified"), None)
    instead = precondition(request, etag, modified)
    if instead is None:
        return status, headers, body
    kept = [each for each in headers if each[0] == b"content-location" or not each[0].startswith(b"content-")]
    if etag is not None:
        kept = [each for each in kept if each[0] != b"last-modified"]
    if instead != NOT_MODIFIED:
        kept.append((b"content-length", b"0"))
    return instead, kept, b""
