"""What resilience raises.

SeawallError
├── RejectedError                  Seawall refused the call before it began; never retried by default
│   ├── CircuitOpenError
│   ├── BulkheadFullError
│   ├── RateLimitedError
│   ├── LimitExceededError         the adaptive limit, and a higher priority's eviction
│   └── DeadlineExceededError (TimeoutError)
├── CallTimeoutError (TimeoutError)   the call began and was cut
├── InjectedError                  raised by Chaos
└── PipelineOrderError (ValueError)
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from seawall.core import SeawallError, deadline
from seawall.core.errors import Severity


class RejectedError(SeawallError):
    """Seawall refused the call before it began, so repeating it is safe, and pointless right now.

    `name` is the policy's; `retry_after` is in seconds, or None where nobody can know.
    """

    code = "rejected"
    status = 503
    category = "limit"
    severity = Severity.LOW
    retryable = True

    def __init__(self, name: str, retry_after: float | None = None) -> None:
        super().__init__(name, retry_after)
        self.name = name
        self.retry_after = retry_after


class CircuitOpenError(RejectedError):
    """The circuit breaker is open, isolated, or all its trial calls are under way.

    Raised a million times while a dependency is down, so its attributes are read from `args` when asked for.
    """

    code = "circuit-open"
    category = "external"
    severity = Severity.MEDIUM
    retryable = True

    if TYPE_CHECKING:

        def __init__(self, name: str, retry_after: float | None, state: str) -> None: ...
    else:
        __init__ = Exception.__init__
        name = property(lambda self: self.args[0])
        retry_after = property(lambda self: self.args[1])

    @property
    def state(self) -> str:
        """`open`, `half_open` or `isolated`."""
        return str(self.args[2])

    @property
    def attributes(self) -> dict[str, Any]:
        """The error's data by name."""
        return {"name": self.name, "retry_after": self.retry_after, "state": self.state}

    def __str__(self) -> str:
        if self.state == "isolated":
            return f"circuit breaker {self.name!r} is isolated by hand; reset() or close() it to let calls through"
        if self.state == "half_open":
            return f"circuit breaker {self.name!r} is half open and its trial calls are under way"
        return f"circuit breaker {self.name!r} is open; next trial call in {self.retry_after or 0.0:.1f} s"


class BulkheadFullError(RejectedError):
    """As many calls run and wait as the bulkhead admits, or the wait took too long."""

    code = "bulkhead-full"
    category = "limit"
    severity = Severity.MEDIUM
    retryable = True

    def __init__(self, name: str, max_concurrent: int, max_waiting: int, waited: float | None = None) -> None:
        super().__init__(name)
        self.args = (name, max_concurrent, max_waiting, waited)
        self.max_concurrent = max_concurrent
        self.max_waiting = max_waiting
        self.waited = waited

    def __str__(self) -> str:
        if self.waited is not None:
            return f"bulkhead {self.name!r} had no place within {self.waited:.1f} s ({self.max_concurrent} run)"
        return f"bulkhead {self.name!r} is full: {self.max_concurrent} run and {self.max_waiting} wait"


class RateLimitedError(RejectedError):
    """The rate limit has no token left for this call."""

    code = "rate-limited"
    status = 429
    category = "limit"
    severity = Severity.LOW
    retryable = True

    def __str__(self) -> str:
        return f"rate limit {self.name!r} is used up; next call in {self.retry_after or 0.0:.2f} s"


class LimitExceededError(RejectedError):
    """The adaptive limit and its queue are full, or a call of higher priority took this one's place."""

    code = "limit-exceeded"
    category = "limit"
    severity = Severity.LOW
    retryable = True

    def __init__(self, name: str, limit: int, max_waiting: int, reason: str = "full") -> None:
        super().__init__(name, retry_after=1.0)
        self.args = (name, limit, max_waiting, reason)
        self.limit = limit
        self.max_waiting = max_waiting
        self.reason = reason

    def __str__(self) -> str:
        why = {
            "full": f"is full: {self.limit} run and {self.max_waiting} wait",
            "evicted": "gave this call's place in the queue to one of higher priority",
            "waited": f"had no place in time ({self.limit} run)",
        }[self.reason]
        return f"adaptive limit {self.name!r} {why}"


class DeadlineExceededError(RejectedError, TimeoutError):
    """The caller's deadline had passed before the call began."""

    code = "deadline-exceeded"
    status = 504
    category = "timeout"
    severity = Severity.MEDIUM
    retryable = True

    def __init__(self, name: str, overdue: float = 0.0) -> None:
        super().__init__(name)
        self.args = (name, overdue)
        self.overdue = overdue

    def __str__(self) -> str:
        return f"{self.name!r} was not called: the caller's deadline passed {self.overdue:.3f} s ago"


class CallTimeoutError(SeawallError, TimeoutError):
    """The call began and was cut after `seconds`, by its timeout or by the caller's deadline."""

    code = "timeout"
    status = 504
    category = "timeout"
    severity = Severity.MEDIUM
    retryable = True

    def __init__(self, name: str, seconds: float, cut_by: str = "timeout") -> None:
        super().__init__(name, seconds, cut_by)
        self.name = name
        self.seconds = seconds
        self.cut_by = cut_by

    def __str__(self) -> str:
        if self.cut_by == "deadline":
            return f"{self.name!r} was cut after {self.seconds:.3g} s by the caller's deadline"
        return f"{self.name!r} took longer than its timeout of {self.seconds:.3g} s"


def mark_late(error: Exception, missed: float) -> None:
    """Note which deadline of its caller's `error` came after, such as that of a socket that had what was left of it."""
    with contextlib.suppress(Exception):  # one that nothing can be set on
        error.missed_deadline = missed  # type: ignore[attr-defined]


def cut_by_caller(error: BaseException | None) -> bool:
    """Whether a call that ends here was ended by the caller's deadline, which says nothing about the dependency."""
    if isinstance(error, CallTimeoutError):
        return error.cut_by == "deadline"
    # That of another caller, or of a timeout further in, is another deadline.
    return getattr(error, "missed_deadline", None) == deadline.current.get()


class InjectedError(SeawallError):
    """A fault that Chaos put there on purpose."""

    code = "injected"
    category = "internal"
    severity = Severity.LOW
    retryable = False

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name!r} raised this error on purpose"


class PipelineOrderError(SeawallError, ValueError):
    """The policies of a pipeline stand in an order that cannot work."""

    code = "pipeline-order"
    category = "configuration"
    severity = Severity.HIGH
    retryable = False

    def __init__(self, name: str, reason: str, right: str) -> None:
        super().__init__(name, reason, right)
        self.name = name
        self.reason = reason
        self.right = right

    def __str__(self) -> str:
        return f"pipeline {self.name!r}: {self.reason}; the right order, outermost first: {self.right}"
