"""pyfailsafe: retries and a breaker that counts consecutive failures."""

from datetime import timedelta
from functools import partial

from failsafe import CircuitBreaker, Delay, Failsafe, RetryPolicy

from bench.peers import asyncio_timeout
from bench.shape import ATTEMPTS, FAILURES, OPEN_FOR, RETRY_DELAY, Call, Listener

NAME = "pyfailsafe"
DISTRIBUTIONS = ("pyfailsafe",)
NOTES = {
    "pipeline": "no bulkhead and no budget; the timeout is asyncio.timeout",
    "dead_dependency": "no bulkhead and no budget",
    "half_open": "lets a tenth of the callers through by design",
}


def _circuit(open_for: float, listener: Listener | None = None) -> CircuitBreaker:
    return CircuitBreaker(
        maximum_failures=FAILURES,
        reset_timeout_seconds=open_for,
        on_open=listener,
        on_half_open=listener,
        on_close=listener,
    )


def _retries() -> RetryPolicy:
    return RetryPolicy(allowed_retries=ATTEMPTS - 1, backoff=Delay(timedelta(seconds=RETRY_DELAY)))


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    return partial(Failsafe(circuit_breaker=_circuit(open_for, listener)).run, call)


def retry(call: Call) -> Call:
    return partial(Failsafe(retry_policy=_retries()).run, call)


def dead_dependency(call: Call) -> Call:
    return partial(Failsafe(retry_policy=_retries(), circuit_breaker=_circuit(OPEN_FOR)).run, call)


def pipeline(call: Call) -> Call:
    return dead_dependency(asyncio_timeout.timeout(call))
