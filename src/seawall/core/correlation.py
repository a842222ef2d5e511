"""What a unit of work is called: the ids on its log lines, spans, problem bodies, statements, jobs and events."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any


class Correlation:
    """One request, job or message under way.

    request_id: its id, which a caller may have given. trace_id, span_id: 32 and 16 lowercase hexadecimal digits, of W3C
    trace context. sampled: whether this trace is recorded. drawn: whether its id was drawn at random. trace_state: the
    other vendors' part of that, as it came.
    fields: what its log lines have besides, such as the user's id; `bind` adds to them.
    """

    __slots__ = ("drawn", "fields", "request_id", "sampled", "span_id", "trace_id", "trace_state")

    def __init__(
        self,
        request_id: str,
        trace_id: str,
        span_id: str,
        sampled: bool = False,
        drawn: bool = True,
        trace_state: str = "",
    ) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.drawn = drawn
        self.trace_state = trace_state
        self.fields: dict[str, Any] | None = None

    def traceparent(self, span_id: str | None = None) -> str:
        """The header for an outgoing request that is made by `span_id`; by default by this work itself."""
        return f"00-{self.trace_id}-{span_id or self.span_id}-{self.sampled + 2 * self.drawn:02x}"

    def bind(self, **fields: Any) -> None:
        """Put `fields` on every log line of this work from now on."""
        self.fields = {**(self.fields or {}), **fields}


current: ContextVar[Correlation | None] = ContextVar("seawall_correlation", default=None)
"""The work at hand; None outside of any."""
