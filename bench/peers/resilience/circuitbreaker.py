"""circuitbreaker: counts consecutive failures."""

from circuitbreaker import CircuitBreaker

from bench.shape import FAILURES, NEVER, OPEN_FOR, Call, Counted, SyncCall

NAME = "circuitbreaker"
DISTRIBUTIONS = ("circuitbreaker",)


def breaker(call: Call, open_for: float = OPEN_FOR) -> Call:
    return CircuitBreaker(failure_threshold=FAILURES, recovery_timeout=open_for)(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return CircuitBreaker(failure_threshold=FAILURES)(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = CircuitBreaker(failure_threshold=NEVER)
    return Counted(call=circuit(call), read=lambda: circuit.failure_count, failures_only=True)


dead_dependency = breaker
NOTES = {"dead_dependency": "breaker only: no retry"}
