"""`python -m bench.requests`: measures Seawall's layer around an app beside the libraries that do its parts."""

import logging
import sys

import bench.peers.requests
from bench.scenarios.requests import SCENARIOS
from bench.suite import Suite
from bench.targets import Target, over, own

MISSING = {
    "starlette": "counts only",
    "fastapi": "measured around Starlette, and here as one of the seven libraries",
    "counting": "does not count across processes by itself",
}
SEVEN = "seven libraries"
TRACED = "seawall (10 % traced)"
BOTH = "seawall (10 % traced, Sentry)"
REPORTING = "seawall (errors to Sentry)"

TARGETS = (
    Target(scenario="starlette", text="µs above the bare app at most", measured=own("above"), most=25.0),
    Target(
        scenario="starlette",
        text="of what the seven libraries add at most, also traced and with Sentry",
        measured=over("above", SEVEN, BOTH),
        most=0.2,
    ),
    Target(scenario="fastapi", text="× bare FastAPI's requests/s at least", measured=own("ratio"), least=0.90),
    Target(scenario="fastapi", text="× with 10 % traced at least", measured=own("ratio", TRACED), least=0.75),
    Target(scenario="fastapi", text="× with errors to Sentry at least", measured=own("ratio", REPORTING), least=0.85),
    Target(scenario="fastapi", text="× by the CPU time of a request at least", measured=own("cpu_ratio"), least=0.90),
    Target(
        scenario="fastapi",
        text="× by CPU time with 10 % traced at least",
        measured=own("cpu_ratio", TRACED),
        least=0.75,
    ),
    Target(
        scenario="fastapi",
        text="× by CPU time with errors to Sentry at least",
        measured=own("cpu_ratio", REPORTING),
        least=0.85,
    ),
    Target(scenario="errors", text="ms at most, p99 of the answers to errors", measured=own("p99"), most=100.0),
    Target(scenario="scrape", text="ms a scrape at most", measured=own("ms"), most=50.0),
    Target(scenario="memory", text="MB grown at most", measured=own("grown"), most=2.0),
)

SUITE = Suite(
    name="requests",
    title="Requests: Seawall's layer beside its peers",
    peers=bench.peers.requests,
    missing=MISSING,
    scenarios=SCENARIOS,
    targets=TARGETS,
)

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # this process only looks at the libraries; it runs none of them
    sys.exit(SUITE.main())
