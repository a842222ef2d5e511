"""fluxgate: a breaker put together from window, tripper, retry and permit."""

from fluxgate import AsyncCircuitBreaker, CircuitBreaker
from fluxgate.permits import All
from fluxgate.retries import Cooldown
from fluxgate.trippers import FailureRate, MinRequests, SlowRate
from fluxgate.windows import CountWindow, TimeWindow

from bench.shape import FAILURES, NEVER, OPEN_FOR, SLOW_CALL, WINDOW, Call, Counted, Listener, SyncCall

NAME = "fluxgate"
DISTRIBUTIONS = ("fluxgate",)
NOTES = {
    "dead_dependency": "breaker only: no retry",
    "half_open": "one trial call at a time, permit `All()`; callers beyond it wait for their turn",
}


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    return AsyncCircuitBreaker(
        tripper=MinRequests(FAILURES) & FailureRate(0.5),
        retry=Cooldown(open_for),
        permit=All(),
        max_half_open_calls=1,
        listeners=[listener] if listener else [],
    )(call)


def breaker_time_slow(call: Call) -> Call:
    rates = FailureRate(0.5) | SlowRate(0.5, threshold=SLOW_CALL)
    return AsyncCircuitBreaker(window=TimeWindow(WINDOW), tripper=MinRequests(10) & rates)(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return CircuitBreaker(tripper=MinRequests(FAILURES) & FailureRate(0.5))(call)


def breaker_counted(call: SyncCall) -> Counted:
    circuit = CircuitBreaker(window=CountWindow(1_000_000), tripper=MinRequests(NEVER))
    return Counted(call=circuit(call), read=lambda: circuit.info().metrics.total_count)


dead_dependency = breaker
