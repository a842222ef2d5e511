"""`python -m bench.cache`: measures Seawall's cache and every other that is installed, interleaved in one run."""

import logging
import os
import sys
from dataclasses import replace

import bench.peers.cache
from bench.scenarios.cache import SCENARIOS
from bench.scenarios.cache.hit_ratio import LRU, THEINE
from bench.suite import Suite
from bench.targets import Target, above, own

TIER = "seawall RedisTier"
MISSING = {
    "hit_async": "no asynchronous get",
    "hit_sync": "no synchronous get",
    "hit_decorated": "no decorator for an async def",
    "redis_get": "nothing in Redis",
    "shared": "no asynchronous load",
    "policies": "no memory with a bound",
    "full": "no memory of its own",
}

TARGETS = (
    Target(scenario="hit_async", text="× bare at most", measured=own("ratio"), most=1.8),
    Target(scenario="hit_decorated", text="× bare at most", measured=own("ratio"), most=2.5),
    Target(scenario="hit_sync", text="× lru_cache at most", measured=own("ratio"), most=1.6),
    Target(scenario="redis_throughput", text="× redis-py's gets/s at least", measured=own("ratio", TIER), least=8.0),
    Target(scenario="redis_throughput", text="× redis-py's p50 at most", measured=own("p50_ratio", TIER), most=0.6),
    Target(scenario="stampede", text="load", measured=own("loads"), most=1, least=1),
    Target(scenario="stampede", text="callers failed", measured=own("failed"), most=0),
    Target(scenario="stampede_long", text="load", measured=own("loads"), most=1, least=1),
    Target(scenario="faults", text="followers lost with a cancelled caller", measured=own("cancelled_failed"), most=0),
    Target(scenario="faults", text="load with a cancelled caller", measured=own("cancelled_loads"), most=1, least=1),
    Target(scenario="faults", text="load after a process is killed", measured=own("killed_loads"), most=1, least=1),
    Target(scenario="faults", text="callers without answer then", measured=own("killed_failed"), most=0),
    Target(scenario="faults", text="load that fails", measured=own("failing_loads"), most=1, least=1),
    Target(scenario="outage", text="ms added to the first calls at most", measured=own("first"), most=50.0),
    Target(scenario="outage", text="ms added to later calls at most", measured=own("later"), most=1.0),
    Target(scenario="outage", text="errors", measured=own("errors"), most=0),
    Target(scenario="outage", text="s until converged at most", measured=own("converged"), most=2.0),
    Target(scenario="hit_ratio", text="points above LRU at least, static", measured=above("zipf", LRU), least=8.0),
    Target(
        scenario="hit_ratio",
        text="points above theine at least, shifting",
        measured=above("shifting", THEINE),
        least=0.0,
    ),
)

SUITE = Suite(
    name="cache",
    title="Cache: Seawall beside its peers",
    peers=bench.peers.cache,
    missing=MISSING,
    scenarios=SCENARIOS,
    targets=TARGETS,
    long=lambda plan: replace(plan, long_load=30.0),
)

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the peers tell at length of a server that is away
    os.environ.setdefault("CACHEKIT_LOG_LEVEL", "CRITICAL")
    sys.exit(SUITE.main())
