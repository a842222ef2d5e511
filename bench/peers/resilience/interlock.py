"""interlock-cb: a breaker after resilience4j, and a pipeline whose retries are tenacity's."""

from typing import Any

from interlock import (
    BulkheadStrategy,
    CircuitBreaker,
    CircuitBreakerStrategy,
    Config,
    Pipeline,
    TimeoutStrategy,
    WindowType,
)
from interlock import timeout as limit
from interlock.integrations.tenacity import RetryStrategy
from tenacity import wait_fixed

from bench.shape import (
    ATTEMPTS,
    FAILURES,
    LIMIT,
    NEVER,
    OPEN_FOR,
    RETRY_DELAY,
    SLOW_CALL,
    TIMEOUT,
    WINDOW,
    Call,
    Counted,
    Listener,
    SyncCall,
)

NAME = "interlock"
DISTRIBUTIONS = ("interlock-cb", "tenacity")
NOTES = {"pipeline": "no budget", "dead_dependency": "no budget"}
_PATIENCE = 30.0


class _Heard:
    def __init__(self, listener: Listener) -> None:
        self.on_state_change = self.on_call = self.on_rejected = listener


def _circuit(open_for: float = OPEN_FOR, listener: Any = None) -> CircuitBreaker:
    config = Config(minimum_number_of_calls=FAILURES, permitted_calls_in_half_open=1, wait_duration_in_open=open_for)
    return CircuitBreaker(name="bench", config=config, listener=listener)


def _retries() -> RetryStrategy:
    return RetryStrategy(attempts=ATTEMPTS, wait=wait_fixed(RETRY_DELAY))


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    return _circuit(open_for, _Heard(listener) if listener else None)(call)


def breaker_time_slow(call: Call) -> Call:
    config = Config(
        window_type=WindowType.TIME_BASED,
        window_size=WINDOW,
        slow_call_duration_threshold=SLOW_CALL,
        slow_call_rate_threshold=0.5,
    )
    return CircuitBreaker(name="bench", config=config)(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return _circuit()(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = CircuitBreaker(name="bench", config=Config(minimum_number_of_calls=NEVER, window_size=1_000_000))
    return Counted(call=circuit(call), read=lambda: circuit.snapshot().total_calls)


def retry(call: Call) -> Call:
    return Pipeline(_retries())(call)


def timeout(call: Call) -> Call:
    async def within(value: int) -> int:
        async with limit(TIMEOUT):
            return await call(value)

    return within


def bulkhead(call: Call) -> Call:
    return Pipeline(BulkheadStrategy(LIMIT))(call)


def pipeline(call: Call) -> Call:
    return Pipeline(BulkheadStrategy(LIMIT), _retries(), CircuitBreakerStrategy(_circuit()), TimeoutStrategy(TIMEOUT))(
        call
    )


def dead_dependency(call: Call) -> Call:
    slots = BulkheadStrategy(LIMIT, max_wait=_PATIENCE)
    return Pipeline(slots, _retries(), CircuitBreakerStrategy(_circuit()))(call)
