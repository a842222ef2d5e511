"""tenacity for the retries and circuitbreaker for the breaker, the pair most services run."""

from bench.peers import asyncio_timeout, circuitbreaker, tenacity
from bench.shape import Call

NAME = "tenacity + circuitbreaker"
DISTRIBUTIONS = ("tenacity", "circuitbreaker")
NOTES = {
    "pipeline": "no bulkhead and no budget; the timeout is asyncio.timeout",
    "dead_dependency": "no bulkhead and no budget",
}


def pipeline(call: Call) -> Call:
    return tenacity.retry(circuitbreaker.breaker(asyncio_timeout.timeout(call)))


def dead_dependency(call: Call) -> Call:
    return tenacity.retry(circuitbreaker.breaker(call))
