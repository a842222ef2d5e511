"""`python -m bench.resilience`: measures Seawall and every peer that is installed, interleaved in one run."""

import sys

import bench.peers.resilience
from bench.model import Figure, Table
from bench.scenarios.resilience import SCENARIOS
from bench.shape import LIMIT
from bench.suite import Suite
from bench.targets import SEAWALL, Target, over, own

_ASYNCIO_TIMEOUT = "asyncio.timeout"
BREAKER = "no circuit breaker"
MISSING = {
    "breaker": BREAKER,
    "breaker_time_slow": "no breaker with a time window",
    "breaker_sync": "no synchronous breaker",
    "breaker_counted": "no public counter",
    "retry": "no retry",
    "timeout": "no timeout",
    "bulkhead": "no bulkhead",
    "rate_limit": "no rate limit",
    "pipeline": "fewer than two of the policies",
    "dead_dependency": "neither retry nor breaker",
    "listener": "no listener for the breaker",
}


def _inexact(table: Table) -> Figure:
    exact = table.figure(SEAWALL, "exact")
    return None if exact is None else not exact


TARGETS = (
    Target(scenario="breaker_count", text="× bare at most", measured=own("ratio"), most=3.5),
    Target(scenario="breaker_time_slow", text="× bare at most", measured=own("ratio"), most=5.0),
    Target(scenario="timeout", text="of asyncio.timeout at most", measured=over("ratio", _ASYNCIO_TIMEOUT), most=0.2),
    Target(scenario="pipeline", text="× bare at most", measured=own("ratio"), most=12.0),
    Target(scenario="pipeline", text="of asyncio.timeout at most", measured=over("ratio", _ASYNCIO_TIMEOUT), most=0.3),
    Target(scenario="breaker_sync", text="ns above a bare call at most", measured=own("above"), most=300.0),
    Target(scenario="breaker_sync", text="inexact counters under threads", measured=_inexact, most=0),
    Target(scenario="rejection", text="ns at most", measured=own("ns"), most=1_500.0),
    Target(scenario="rejection", text="bytes kept per refusal", measured=own("growth"), most=0.05),
    Target(scenario="listener", text="more for a success with a listener", measured=own("success_more"), most=0.4),
    Target(scenario="listener", text="more for a refusal with a listener", measured=own("refusal_more"), most=0.4),
    Target(scenario="half_open", text="trial calls at most", measured=own("through"), most=1),
    Target(scenario="half_open", text="breakers wedged", measured=own("wedged"), most=0),
    Target(scenario="dead_dependency", text="calls per caller at most", measured=own("load"), most=1.2),
    Target(scenario="dead_dependency", text="peak concurrency at most", measured=own("peak"), most=LIMIT),
    Target(scenario="dead_dependency", text="in the first wave at most", measured=own("first_wave"), most=LIMIT),
)

SUITE = Suite(
    name="resilience",
    title="Resilience: Seawall beside its peers",
    peers=bench.peers.resilience,
    missing=MISSING,
    scenarios=SCENARIOS,
    targets=TARGETS,
)

if __name__ == "__main__":
    sys.exit(SUITE.main())
