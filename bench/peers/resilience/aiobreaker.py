"""aiobreaker: pybreaker carried over to asyncio; counts consecutive failures."""

from datetime import timedelta
from typing import Any

from aiobreaker import CircuitBreaker, CircuitBreakerListener

from bench.shape import FAILURES, NEVER, OPEN_FOR, Call, Counted, Listener, SyncCall

NAME = "aiobreaker"
DISTRIBUTIONS = ("aiobreaker",)
NOTES = {"dead_dependency": "breaker only: no retry"}


class _Heard(CircuitBreakerListener):
    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    def success(self, breaker: Any) -> None:
        self.listener(breaker)

    def failure(self, breaker: Any, exception: Exception) -> None:
        self.listener(breaker, exception)

    def state_change(self, breaker: Any, old: Any, new: Any) -> None:
        self.listener(breaker, old, new)


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    listeners = [_Heard(listener)] if listener else []
    circuit = CircuitBreaker(fail_max=FAILURES, timeout_duration=timedelta(seconds=open_for), listeners=listeners)
    return circuit(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return CircuitBreaker(fail_max=FAILURES)(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = CircuitBreaker(fail_max=NEVER)
    return Counted(call=circuit(call), read=lambda: circuit.fail_counter, failures_only=True)


dead_dependency = breaker
