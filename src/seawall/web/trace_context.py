"""W3C trace context: which trace a request belongs to.

As https://www.w3.org/TR/trace-context-2/ says: a `traceparent` that isn't valid, or comes twice, starts a new trace and
takes `tracestate` along; a `tracestate` that isn't valid is dropped alone; of a key that comes twice the first counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
MOST_MEMBERS = 32
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER = re.compile(
    rb"[ \t]*([a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])[ \t]*"
)
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16


class Parent(NamedTuple):
    """What the caller sent: ids in hexadecimal digits, and its vendors' state.

    sampled: whether it records the trace. drawn: whether the trace's id was drawn at random.
    """

    trace_id: str
    span_id: str
    sampled: bool
    drawn: bool
    state: str


def parent_of(headers: Sequence[tuple[bytes, bytes]]) -> Parent | None:
    """The caller's trace by the headers of an ASGI scope; None without a valid one."""
    given = [value for name, value in headers if name == TRACEPARENT]
    if len(given) != 1 or (found := _PARENT.fullmatch(given[0].strip(b" \t"))) is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    states = [value for name, value in headers if name == TRACESTATE]
    state = _state(b",".join(states)) if states else ""
    bits = int(flags, 16)
    return Parent(trace_id.decode(), span_id.decode(), bool(bits & 1), bool(bits & 2), state)


def _state(value: bytes) -> str:
    members: dict[bytes, bytes] = {}
    for part in value.split(b","):
        if not part.strip(b" \t"):
            continue
        found = _MEMBER.fullmatch(part)
        if found is None:
            return ""
        member = found[1]
        key = member.partition(b"=")[0]
        members.setdefault(key, member)
    return b",".join(members.values()).decode() if len(members) <= MOST_MEMBERS else ""
