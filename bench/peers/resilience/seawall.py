"""Seawall itself, through its public interface only."""

from __future__ import annotations

from bench.shape import (
    ATTEMPTS,
    FAILURES,
    LIMIT,
    OPEN_FOR,
    RATE,
    RETRY_DELAY,
    SLOW_CALL,
    TIMEOUT,
    WAITING,
    WINDOW,
    Call,
    Counted,
    Listener,
    SyncCall,
)
from seawall import resilience
from seawall.core import Events

NAME = "seawall"
DISTRIBUTIONS = ("seawall",)


def _circuit(open_for: float = OPEN_FOR) -> resilience.CircuitBreaker:
    return resilience.CircuitBreaker(
        "bench", failure_rate=0.5, window=100, minimum_calls=FAILURES, open_for=open_for, permits=1
    )


def _retries(budget: resilience.RetryBudget | None = None) -> resilience.Retry:
    return resilience.Retry(
        attempts=ATTEMPTS, on=Exception, first_delay=RETRY_DELAY, max_delay=RETRY_DELAY, budget=budget
    )


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    if listener is None:
        return _circuit(open_for)(call)
    events = Events()
    events.subscribe(listener)
    return resilience.CircuitBreaker(
        "bench", failure_rate=0.5, window=100, minimum_calls=FAILURES, open_for=open_for, permits=1, events=events
    )(call)


def breaker_time_slow(call: Call) -> Call:
    return resilience.CircuitBreaker.over_time(
        "bench", failure_rate=0.5, window=float(WINDOW), minimum_calls=10, slow_call=SLOW_CALL, slow_call_rate=0.5
    )(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return _circuit()(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = resilience.CircuitBreaker("bench", failure_rate=1.0, window=1_000_000, minimum_calls=1_000_000)
    return Counted(call=circuit(call), read=lambda: circuit.statistics().calls)


def retry(call: Call) -> Call:
    return _retries()(call)


def timeout(call: Call) -> Call:
    return resilience.Timeout(TIMEOUT)(call)


def bulkhead(call: Call) -> Call:
    return resilience.Bulkhead(LIMIT, max_waiting=WAITING)(call)


def rate_limit(call: Call) -> Call:
    return resilience.RateLimit(RATE, per=1.0)(call)


def pipeline(call: Call) -> Call:
    slots = resilience.Bulkhead(LIMIT, max_waiting=WAITING)
    return resilience.Pipeline(
        "bench", slots, _retries(resilience.RetryBudget()), _circuit(), resilience.Timeout(TIMEOUT)
    )(call)


def dead_dependency(call: Call) -> Call:
    slots = resilience.Bulkhead(LIMIT, max_waiting=WAITING)
    circuit = resilience.CircuitBreaker.consecutive("bench", failures=FAILURES, open_for=OPEN_FOR)
    return resilience.Pipeline("bench", slots, _retries(resilience.RetryBudget()), circuit)(call)
