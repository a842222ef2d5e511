"""What HTTP adapters share: which responses are failures, and which requests may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from seawall.core import Clock, SeawallError, deadline
from seawall.core.errors import Severity
from seawall.resilience.backoff import retry_after

FAILED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that say nothing about the request, only about the moment."""

_IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class ResponseError(SeawallError):
    """A response whose status is a failure, as policies see it. The adapter's caller gets the response itself."""

    code = "response"
    category = "external"
    severity = Severity.MEDIUM
    retryable = False

    def __init__(self, response: Any, status: int, clock: Clock) -> None:
        super().__init__(response, status, clock)
        self.response = response
        self.status_code = status
        self.retry_after = retry_after(response, clock)

    def __str__(self) -> str:
        return f"the answer had status {self.status_code}"


def failed_by(failed: Collection[int] | Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A function that tells whether a response is a failure: that function, or one of the statuses."""
    if callable(failed):
        return failed
    statuses = frozenset(failed)
    return lambda response: response.status_code in statuses


def idempotent(request: Any) -> bool:
    """Whether a request may be repeated: by its method (RFC 9110, 9.2.2), or because it has an `Idempotency-Key`.

    For `Retry(idempotent=idempotent)` in a pipeline that an adapter runs.
    """
    return request.method.upper() in _IDEMPOTENT_METHODS or "idempotency-key" in request.headers


def write_deadline(headers: Any, clock: Clock) -> float | None:
    """Put the remaining time into an outgoing request's headers; returns it in seconds, None without a deadline."""
    value = deadline.to_header(clock=clock)
    if value is not None:
        headers[deadline.HEADER] = value
    return deadline.remaining(clock=clock)
