"""resilix: one decorator language; its breaker counts failures, consecutive or in a sliding window."""

from resilix import CircuitBreaker, protect

from bench.shape import (
    ATTEMPTS,
    FAILURES,
    LIMIT,
    NEVER,
    OPEN_FOR,
    RETRY_DELAY,
    TIMEOUT,
    WINDOW,
    Call,
    Counted,
    Listener,
    SyncCall,
)

NAME = "resilix"
DISTRIBUTIONS = ("resilix",)
NOTES = {
    "breaker_time_slow": "time window of failures only: no slow calls, and a success is not recorded",
    "pipeline": "no budget",
    "dead_dependency": "no budget",
}


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    return CircuitBreaker(failures=FAILURES, reset_timeout=open_for, on_state_change=listener)(call)


def breaker_time_slow(call: Call) -> Call:
    return CircuitBreaker(failures=FAILURES, window=WINDOW)(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return CircuitBreaker(failures=FAILURES)(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = CircuitBreaker(failures=NEVER)
    return Counted(call=circuit(call), read=lambda: circuit.failure_count, failures_only=True)


def retry(call: Call) -> Call:
    return protect.when(Exception, retry=ATTEMPTS, delay=RETRY_DELAY)(call)


def timeout(call: Call) -> Call:
    return protect.timeout(TIMEOUT)(call)


def bulkhead(call: Call) -> Call:
    return protect.bulkhead(LIMIT)(call)


def pipeline(call: Call) -> Call:
    return bulkhead(retry(breaker(timeout(call))))


def dead_dependency(call: Call) -> Call:
    return bulkhead(retry(breaker(call)))
