"""redress: retries by error class, with a breaker around them."""

from redress import AsyncPolicy, AsyncRetry, Budget, CircuitBreaker, Policy, decorrelated_jitter, default_classifier

from bench.shape import ATTEMPTS, FAILURES, OPEN_FOR, RETRY_DELAY, TIMEOUT, WINDOW, Call, Listener, SyncCall

NAME = "redress"
DISTRIBUTIONS = ("redress",)
NOTES = {
    "breaker": "counts failures in a time window; a success is not recorded",
    "breaker_time_slow": "time window of failures only: no slow calls, and a success is not recorded",
    "pipeline": "no bulkhead; the breaker is around the retry",
    "dead_dependency": "no bulkhead; the breaker is around the retry",
    "timeout": "the attempt timeout of a retry with one attempt",
}
WITHOUT = {"bulkhead": "no bulkhead"}


def _circuit(open_for: float = OPEN_FOR, window: float = 60.0) -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=FAILURES, window_s=window, recovery_timeout_s=open_for)


def _retries(attempts: int = ATTEMPTS, *, budget: Budget | None = None, limit: float | None = None) -> AsyncRetry:
    return AsyncRetry(
        classifier=default_classifier,
        strategy=decorrelated_jitter(base_s=RETRY_DELAY, max_s=RETRY_DELAY),
        max_attempts=attempts,
        budget=budget,
        attempt_timeout_s=limit,
    )


def _guarded(policy: AsyncPolicy, call: Call, listener: Listener | None = None) -> Call:
    async def guarded(value: int) -> int:
        return await policy.call(lambda: call(value), on_metric=listener)

    return guarded


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    return _guarded(AsyncPolicy(circuit_breaker=_circuit(open_for)), call, listener)


def breaker_time_slow(call: Call) -> Call:
    return _guarded(AsyncPolicy(circuit_breaker=_circuit(window=WINDOW)), call)


def breaker_sync(call: SyncCall) -> SyncCall:
    policy = Policy(circuit_breaker=_circuit())
    return lambda value: policy.call(lambda: call(value))


def retry(call: Call) -> Call:
    return _guarded(AsyncPolicy(retry=_retries()), call)


def timeout(call: Call) -> Call:
    return _guarded(AsyncPolicy(retry=_retries(1, limit=TIMEOUT)), call)


def pipeline(call: Call) -> Call:
    retries = _retries(budget=Budget(max_retries=100, window_s=WINDOW), limit=TIMEOUT)
    return _guarded(AsyncPolicy(retry=retries, circuit_breaker=_circuit()), call)


def dead_dependency(call: Call) -> Call:
    retries = _retries(budget=Budget(max_retries=100, window_s=WINDOW))
    return _guarded(AsyncPolicy(retry=retries, circuit_breaker=_circuit()), call)
