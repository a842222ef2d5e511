"""The scenarios in the order in which they run: one module each, with `async def run(bench)`."""

from bench.scenarios.resilience import (
    breaker_count,
    breaker_sync,
    breaker_time_slow,
    bulkhead,
    dead_dependency,
    half_open,
    listener,
    pipeline,
    rate_limit,
    rejection,
    retry,
    timeout,
)
from bench.suite import Scenario

SCENARIOS: dict[str, Scenario] = {
    "breaker_count": breaker_count.run,
    "breaker_time_slow": breaker_time_slow.run,
    "retry": retry.run,
    "timeout": timeout.run,
    "bulkhead": bulkhead.run,
    "rate_limit": rate_limit.run,
    "pipeline": pipeline.run,
    "breaker_sync": breaker_sync.run,
    "rejection": rejection.run,
    "listener": listener.run,
    "half_open": half_open.run,
    "dead_dependency": dead_dependency.run,
}
