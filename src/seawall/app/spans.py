"""How what the parts report becomes spans."""

from __future__ import annotations

import dataclasses
import re
from asyncio import CancelledError
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from seawall.core import Event
from seawall.core.correlation import Correlation
from seawall.resilience.events import RequestSent
from seawall.telemetry import redaction
from seawall.telemetry.tracing import Span, SpanEnded, new_span_id, type_name

if TYPE_CHECKING:
    from seawall.cache import CacheLoaded
    from seawall.database import StatementRan

_CLIENT_ERROR = 400
_CANCELLED = type_name(CancelledError)
_TABLE = re.compile(
    r"""\b(?:FROM|INTO|UPDATE|TABLE)\s+(?:ONLY\s+|IF\s+(?:NOT\s+)?EXISTS\s+)?([\w.\"]+)""", re.IGNORECASE
)


def _child(work: Correlation, name: str, *, started: float, span_id: str | None = None, **options: Any) -> Span:
    return Span(
        name=name,
        trace_id=work.trace_id,
        span_id=span_id or new_span_id(),
        parent_id=options.pop("parent_id", work.span_id),
        trace_state=work.trace_state,
        started=started,
        **options,
    )


def of_block(event: SpanEnded, work: Correlation, now: float) -> Span:
    """A `traced` function or block."""
    return _child(
        work,
        event.name,
        kind="internal",
        started=event.started,
        seconds=event.seconds,
        span_id=event.span_id,
        parent_id=event.parent_id,
        attributes=redaction.fields(event.attributes),
        error=event.error,
        failed=event.error is not None and event.error != _CANCELLED,
        stack=event.stack,
    )


def of_request(event: RequestSent, work: Correlation, now: float) -> Span:
    """A request that was sent."""
    error = event.error
    if error is None and event.status is not None and event.status >= _CLIENT_ERROR:
        error = str(event.status)
    attributes = {
        "http.request.method": event.method,
        "server.address": event.host,
        "server.port": event.port,
        "http.response.status_code": event.status,
        "http.request.resend_count": event.attempt - 1 or None,
    }
    return _child(
        work,
        event.method,
        kind="client",
        started=now - event.seconds,
        seconds=event.seconds,
        span_id=event.span_id,
        attributes={name: value for name, value in attributes.items() if value is not None},
        error=error,
        failed=error is not None and error != CancelledError.__name__,
    )


def of_statement(event: StatementRan, work: Correlation, now: float) -> Span:
    """A statement that was run."""
    host, _, port = event.node.rpartition(":")
    summary = summarized(event.statement)
    attributes: dict[str, Any] = {
        "db.system.name": "postgresql" if host else "sqlite",
        "db.namespace": event.database,
        "db.query.summary": summary,
        "db.query.text": event.statement,
    }
    if host:
        attributes |= {"server.address": host.strip("[]"), "server.port": int(port) if port.isdecimal() else None}
    if event.rows >= 0:
        attributes["db.response.returned_rows"] = event.rows
    if event.sqlstate is not None:
        attributes["db.response.status_code"] = event.sqlstate
    error = None if event.error is None else type_name(event.error)
    return _child(
        work,
        summary,
        kind="client",
        started=now - event.seconds,
        seconds=event.seconds,
        attributes=attributes,
        error=error,
        failed=error is not None and error != _CANCELLED,
    )


def of_load(event: CacheLoaded, work: Correlation, now: float) -> Span:
    """A load of the cache."""
    # Not the key: it may have a person's name in it, or a session's id.
    attributes = {"seawall.cache.name": event.cache, "seawall.cache.category": event.category}
    name, started = f"cache load {event.category}", now - event.seconds
    return _child(work, name, kind="internal", started=started, seconds=event.seconds, attributes=attributes)


@lru_cache(1_024)
def summarized(statement: str) -> str:
    """What a statement does, and to which table: `SELECT campaigns`."""
    verb = statement.split(None, 1)[0].upper() if statement.strip() else "SQL"
    table = _TABLE.search(statement)
    return verb if table is None else f"{verb} {table[1].replace(chr(34), '')}"


def facts(event: Event) -> dict[str, Any]:
    """An event's fields that are plain values; of errors the type; never a cache's key."""
    found: dict[str, Any] = {}
    for one in dataclasses.fields(event):
        value = getattr(event, one.name)
        if isinstance(value, BaseException):
            found[one.name] = type_name(value)
        elif isinstance(value, (str, int, float)) and one.name != "key":
            found[one.name] = value
    return redaction.fields(found)
