"""aioresilience: asyncio patterns with events and metrics; its breaker counts consecutive failures."""

from typing import Any

from aioresilience import Bulkhead, CircuitBreaker, TimeoutManager, with_bulkhead, with_circuit_breaker, with_retry
from aioresilience.config import BulkheadConfig, CircuitConfig, RateLimitConfig, RetryConfig, TimeoutConfig
from aioresilience.rate_limiting.local import LocalRateLimiter
from aioresilience.retry import RetryPolicy, RetryStrategy
from aioresilience.timeout import with_timeout_manager

from bench.shape import ATTEMPTS, FAILURES, LIMIT, OPEN_FOR, RATE, RETRY_DELAY, TIMEOUT, WAITING, Call, Listener

NAME = "aioresilience"
DISTRIBUTIONS = ("aioresilience",)
NOTES = {"pipeline": "no budget", "dead_dependency": "no budget"}


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    config = CircuitConfig(failure_threshold=FAILURES, recovery_timeout=open_for, success_threshold=1)
    circuit = CircuitBreaker(name="bench", config=config)
    if listener:

        async def heard(event: Any) -> None:
            listener(event)

        circuit.events.add_handler("*", heard)
    return with_circuit_breaker(circuit)(call)


def retry(call: Call) -> Call:
    config = RetryConfig(max_attempts=ATTEMPTS, initial_delay=RETRY_DELAY, strategy=RetryStrategy.CONSTANT, jitter=0.0)
    return with_retry(RetryPolicy(config=config))(call)


def timeout(call: Call) -> Call:
    return with_timeout_manager(TimeoutManager(config=TimeoutConfig(timeout=TIMEOUT)))(call)


def bulkhead(call: Call) -> Call:
    config = BulkheadConfig(max_concurrent=LIMIT, max_waiting=WAITING)
    return with_bulkhead(Bulkhead(name="bench", config=config))(call)


def rate_limit(call: Call) -> Call:
    limiter = LocalRateLimiter(config=RateLimitConfig(name="bench"))

    async def limited(value: int) -> int:
        await limiter.acquire("bench", f"{RATE}/second")
        return await call(value)

    return limited


def pipeline(call: Call) -> Call:
    return bulkhead(retry(breaker(timeout(call))))


def dead_dependency(call: Call) -> Call:
    return bulkhead(retry(breaker(call)))
