"""pyresilience: one decorator with a configuration object per pattern."""

from pyresilience import (
    BulkheadConfig,
    CircuitBreakerConfig,
    RateLimiterConfig,
    RetryBudgetConfig,
    RetryConfig,
    TimeoutConfig,
    resilient,
)

from bench.shape import (
    ATTEMPTS,
    FAILURES,
    LIMIT,
    OPEN_FOR,
    RATE,
    RETRY_DELAY,
    SLOW_CALL,
    TIMEOUT,
    Call,
    Listener,
    SyncCall,
)

NAME = "pyresilience"
DISTRIBUTIONS = ("pyresilience",)
NOTES = {"breaker_time_slow": "slow calls in a window of 100 calls: no time window"}
_PATIENCE = 30.0


def _circuit(open_for: float = OPEN_FOR) -> CircuitBreakerConfig:
    return CircuitBreakerConfig(failure_threshold=FAILURES, recovery_timeout=open_for, success_threshold=1)


def _retries() -> RetryConfig:
    return RetryConfig(max_attempts=ATTEMPTS, delay=RETRY_DELAY, backoff_factor=1.0, jitter=False)


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    return resilient(circuit_breaker=_circuit(open_for), listeners=[listener] if listener else None)(call)


def breaker_time_slow(call: Call) -> Call:
    return resilient(
        circuit_breaker=CircuitBreakerConfig(
            sliding_window_size=100, minimum_calls=10, slow_call_duration=SLOW_CALL, slow_call_rate_threshold=0.5
        )
    )(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return resilient(circuit_breaker=_circuit())(call)


def retry(call: Call) -> Call:
    return resilient(retry=_retries())(call)


def timeout(call: Call) -> Call:
    return resilient(timeout=TimeoutConfig(seconds=TIMEOUT))(call)


def bulkhead(call: Call) -> Call:
    return resilient(bulkhead=BulkheadConfig(max_concurrent=LIMIT))(call)


def rate_limit(call: Call) -> Call:
    return resilient(rate_limiter=RateLimiterConfig(max_calls=RATE))(call)


def pipeline(call: Call) -> Call:
    return resilient(
        bulkhead=BulkheadConfig(max_concurrent=LIMIT),
        retry=_retries(),
        retry_budget=RetryBudgetConfig(),
        circuit_breaker=_circuit(),
        timeout=TimeoutConfig(seconds=TIMEOUT),
    )(call)


def dead_dependency(call: Call) -> Call:
    return resilient(
        bulkhead=BulkheadConfig(max_concurrent=LIMIT, max_wait=_PATIENCE),
        retry=_retries(),
        retry_budget=RetryBudgetConfig(),
        circuit_breaker=_circuit(),
    )(call)
