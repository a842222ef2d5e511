"""pybreaker: the oldest of them; synchronous, counts consecutive failures."""

from pybreaker import CircuitBreaker

from bench.shape import FAILURES, NEVER, Counted, SyncCall

NAME = "pybreaker"
DISTRIBUTIONS = ("pybreaker",)
_BLIND = "sees no failure of an `async def`; its asynchronous call needs Tornado"
WITHOUT = {"breaker": _BLIND, "breaker_time_slow": _BLIND, "dead_dependency": _BLIND}


def breaker_sync(call: SyncCall) -> SyncCall:
    return CircuitBreaker(fail_max=FAILURES)(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = CircuitBreaker(fail_max=NEVER)
    return Counted(call=circuit(call), read=lambda: circuit.fail_counter, failures_only=True)
