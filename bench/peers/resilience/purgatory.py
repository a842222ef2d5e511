"""purgatory: event-sourced breakers, in memory here; counts consecutive failures."""

from purgatory import AsyncCircuitBreakerFactory, SyncCircuitBreakerFactory

from bench.shape import FAILURES, NEVER, OPEN_FOR, Call, Counted, Listener, SyncCall

NAME = "purgatory"
DISTRIBUTIONS = ("purgatory",)
NOTES = {"dead_dependency": "breaker only: no retry"}


def breaker(call: Call, open_for: float = OPEN_FOR, listener: Listener | None = None) -> Call:
    factory = AsyncCircuitBreakerFactory(default_threshold=FAILURES, default_ttl=open_for)
    if listener:
        factory.add_listener(listener)
    return factory("bench")(call)


def breaker_sync(call: SyncCall) -> SyncCall:
    return SyncCircuitBreakerFactory(default_threshold=FAILURES)("bench")(call)


def breaker_counted(call: SyncCall) -> Counted:
    factory = SyncCircuitBreakerFactory(default_threshold=NEVER)
    context = factory.get_breaker("bench").context
    return Counted(call=factory("bench")(call), read=lambda: context.failure_count or 0, failures_only=True)


dead_dependency = breaker
