"""`python -m bench.database`: measures Seawall's database beside SQLAlchemy and what routes for it, in one run."""

import logging
import sys

import bench.peers.database
from bench.scenarios.database import SCENARIOS
from bench.suite import Suite
from bench.targets import Target, own

MISSING = {
    "opened": "no sessions",
    "routed": "no replicas",
    "failing_over": "no failover",
    "decisions": "chooses no server",
    "classifications": "looks at no statement",
}

TARGETS = (
    Target(scenario="select_by_key", text="× SQLAlchemy's time at most", measured=own("ratio"), most=1.05),
    Target(scenario="select_concurrent", text="× SQLAlchemy's time at most", measured=own("ratio"), most=1.05),
    Target(scenario="fetch", text="× SQLAlchemy's time at most", measured=own("ratio"), most=1.05),
    Target(scenario="transaction", text="× SQLAlchemy's time at most", measured=own("ratio"), most=1.05),
    Target(scenario="decision", text="µs at most", measured=own("us"), most=2.0),
    Target(scenario="classification", text="µs at most", measured=own("us"), most=0.5),
    Target(scenario="consistency", text="stale reads", measured=own("stale"), most=0),
    Target(scenario="consistency", text="reads that went backwards", measured=own("backwards"), most=0),
    Target(scenario="consistency", text="callers failed", measured=own("failed"), most=0),
    Target(
        scenario="consistency",
        text="of the reads offloaded at least, 20 ms of lag and 100 ms of thought",
        measured=own("thinking_offloaded"),
        least=0.95,
    ),
    Target(scenario="misroutes", text="statements misrouted", measured=own("misrouted"), most=0),
    Target(scenario="misroutes", text="statements failed otherwise", measured=own("failed"), most=0),
    Target(scenario="misroutes", text="of the plain reads on a replica", measured=own("offloaded"), least=1.0),
    Target(scenario="failover", text="s until the first write at most", measured=own("first"), most=0.5),
    Target(scenario="cancelled", text="of the connections survive at least", measured=own("survived"), least=0.9),
    Target(scenario="cancelled", text="connections leaked", measured=own("leaked"), most=0),
)

SUITE = Suite(
    name="database",
    title="Database: Seawall beside its peers",
    peers=bench.peers.database,
    missing=MISSING,
    scenarios=SCENARIOS,
    targets=TARGETS,
)

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the peers tell at length of a server that is away
    sys.exit(SUITE.main())
