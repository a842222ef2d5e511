"""The configuration every contender gets, so that the figures compare like with like."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

ATTEMPTS = 3
"""Calls a retry may make in all, the first one included."""

RETRY_DELAY = 0.01
"""Seconds between two attempts; only `dead_dependency` ever waits for it."""

FAILURES = 5
"""Failures that open a breaker."""

OPEN_FOR = 30.0
"""Seconds a breaker stays open."""

WINDOW = 10
"""Seconds a time window looks back."""

SLOW_CALL = 2.0
"""Seconds from which a call counts as slow."""

TIMEOUT = 1.0
"""Seconds a call may take."""

LIMIT = 100
"""Calls a bulkhead lets run at the same time."""

WAITING = 1_000
"""Calls a bulkhead lets wait."""

RATE = 1_000_000_000
"""Calls a second a rate limit allows: more than any machine makes, so no round ever waits."""

NEVER = 1_000_000_000
"""A threshold no run reaches."""

Call = Callable[[int], Awaitable[int]]
SyncCall = Callable[[int], int]
Listener = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A synchronous breaker that never opens, and the public counter it keeps."""

    call: SyncCall
    read: Callable[[], int]
    failures_only: bool = False
