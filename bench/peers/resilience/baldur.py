"""baldur-framework: policies over a process-wide runtime, in memory here, with its logging off.

A policy returns a result object; unwrapping it is part of using it, so it is part of the measurement.
"""

import itertools
import logging
import os
import tempfile
from typing import Any

import structlog

os.environ.setdefault("BALDUR_SYSTEM_CONTROL_DIR", os.path.join(tempfile.gettempdir(), "bench-baldur"))
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

from baldur.core.backoff import ConstantBackoff  # noqa: E402
from baldur.resilience.policies.async_retry import AsyncRetryPolicy  # noqa: E402
from baldur.resilience.policies.composer import compose_async  # noqa: E402
from baldur.resilience.policies.timeout import AsyncTimeoutPolicy  # noqa: E402
from baldur.services.bulkhead.async_semaphore import AsyncSemaphoreBulkhead  # noqa: E402
from baldur.services.bulkhead.policy import AsyncBulkheadPolicy  # noqa: E402
from baldur.services.circuit_breaker.config import CircuitBreakerConfig  # noqa: E402
from baldur.services.circuit_breaker.policy import AsyncCircuitBreakerPolicy, CircuitBreakerPolicy  # noqa: E402

from bench.shape import ATTEMPTS, FAILURES, LIMIT, OPEN_FOR, RETRY_DELAY, TIMEOUT, Call, SyncCall  # noqa: E402

NAME = "baldur"
DISTRIBUTIONS = ("baldur-framework",)
NOTES = {
    "half_open": "open for a whole second, as it takes no fraction; a stuck trial is given up after 1 s (default 60 s)",
    "pipeline": "no budget",
    "dead_dependency": "no budget",
}
WITHOUT = {"rate_limit": "only for a web framework's requests"}
SHORTEST_OPEN = 1.0
_PATIENCE = 30.0
_numbers = itertools.count()


def _unwrapped(result: Any) -> int:
    if result.error is not None:
        raise result.error
    return result.value


def _applied(policy: Any, call: Call) -> Call:
    async def guarded(value: int) -> int:
        return _unwrapped(await policy.execute(call, value))

    return guarded


def _circuit(open_for: float = OPEN_FOR) -> CircuitBreakerPolicy:
    config = CircuitBreakerConfig(
        failure_threshold=FAILURES,
        recovery_timeout=max(1, round(open_for)),
        success_threshold=1,
        half_open_max_calls=1,
        half_open_stuck_timeout_seconds=1,
    )
    return CircuitBreakerPolicy(f"bench-{next(_numbers)}", config=config)


def _retries() -> AsyncRetryPolicy:
    return AsyncRetryPolicy(
        max_retries=ATTEMPTS - 1, backoff=ConstantBackoff(delay=RETRY_DELAY), rate_limit_aware=False
    )


def _slots(patience: float | None = None) -> AsyncBulkheadPolicy:
    return AsyncBulkheadPolicy(AsyncSemaphoreBulkhead(f"bench-{next(_numbers)}", max_concurrent=LIMIT), patience)


def breaker(call: Call, open_for: float = OPEN_FOR) -> Call:
    return _applied(AsyncCircuitBreakerPolicy(_circuit(open_for)), call)


def breaker_sync(call: SyncCall) -> SyncCall:
    policy = _circuit()
    return lambda value: _unwrapped(policy.execute(call, value))


def retry(call: Call) -> Call:
    return _applied(_retries(), call)


def timeout(call: Call) -> Call:
    return _applied(AsyncTimeoutPolicy(TIMEOUT), call)


def bulkhead(call: Call) -> Call:
    return _applied(_slots(), call)


def pipeline(call: Call) -> Call:
    circuit = AsyncCircuitBreakerPolicy(_circuit())
    return _applied(compose_async(_slots(), _retries(), circuit, AsyncTimeoutPolicy(TIMEOUT)), call)


def dead_dependency(call: Call) -> Call:
    return _applied(compose_async(_slots(_PATIENCE), _retries(), AsyncCircuitBreakerPolicy(_circuit())), call)
