"""nopanic: policies for sync and async, streams too; its breaker measures a rate over a time window."""

from collections.abc import Callable
from typing import Any

import nopanic

from bench.shape import (
    ATTEMPTS,
    FAILURES,
    LIMIT,
    NEVER,
    OPEN_FOR,
    RATE,
    RETRY_DELAY,
    SLOW_CALL,
    TIMEOUT,
    WINDOW,
    Call,
    Counted,
    Listener,
    SyncCall,
)

NAME = "nopanic"
DISTRIBUTIONS = ("nopanic",)
NOTES = {
    "listener": "the hook of one breaker; its other events go to listeners of the whole process",
    "dead_dependency": "told not to retry a refusal, which by default it does after the breaker's 30 s",
}


def _circuit(open_for: float = OPEN_FOR, listener: Listener | None = None) -> Any:
    return nopanic.circuit_breaker(min_calls=FAILURES, reset_timeout=open_for, on_state_change=listener)


def _retries() -> Callable[[Call], Call]:
    return nopanic.retry(attempts=ATTEMPTS, backoff=RETRY_DELAY, budget=nopanic.RetryBudget(), giveup=_refused)


def _refused(error: BaseException) -> bool:
    return isinstance(error, nopanic.CircuitOpen)


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    return _circuit(open_for, listener)(call)


def breaker_time_slow(call: Call) -> Call:
    return nopanic.circuit_breaker(window=WINDOW, slow_call_duration=SLOW_CALL, slow_call_threshold=0.5)(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return _circuit()(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = nopanic.circuit_breaker(min_calls=NEVER, window=3_600.0)
    return Counted(call=circuit(call), read=lambda: circuit.metrics.calls)


def retry(call: Call) -> Call:
    return nopanic.retry(attempts=ATTEMPTS, backoff=RETRY_DELAY)(call)


def timeout(call: Call) -> Call:
    return nopanic.timeout(TIMEOUT)(call)


def bulkhead(call: Call) -> Call:
    return nopanic.bulkhead(LIMIT)(call)


def rate_limit(call: Call) -> Call:
    return nopanic.rate_limit(RATE, 1.0)(call)


def pipeline(call: Call) -> Call:
    return nopanic.compose(nopanic.bulkhead(LIMIT), _retries(), _circuit(), nopanic.timeout(TIMEOUT))(call)


def dead_dependency(call: Call) -> Call:
    return nopanic.compose(nopanic.bulkhead(LIMIT), _retries(), _circuit())(call)
