"""stamina for the retries and purgatory for the breaker."""

from bench.peers import asyncio_timeout, purgatory, stamina
from bench.shape import Call

NAME = "stamina + purgatory"
DISTRIBUTIONS = ("stamina", "purgatory")
NOTES = {
    "pipeline": "no bulkhead and no budget; the timeout is asyncio.timeout",
    "dead_dependency": "no bulkhead and no budget",
}


def pipeline(call: Call) -> Call:
    return stamina.retry(purgatory.breaker(asyncio_timeout.timeout(call)))


def dead_dependency(call: Call) -> Call:
    return stamina.retry(purgatory.breaker(call))
