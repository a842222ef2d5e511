"""Pipeline of all policies, success."""

from bench.model import Head, Table
from bench.run import Run
from bench.speed import race

HEAD = Head(
    key="pipeline",
    title="Pipeline of all policies, success",
    what="Bulkhead, retry with budget, breaker and timeout around one call that succeeds; every peer as near "
    "to it as it comes.",
)


async def run(bench: Run) -> Table:
    """Time the whole chain."""
    return await race(HEAD, "pipeline", bench, also="asyncio.timeout")
