"""Bulkhead, uncontended."""

from bench.model import Head, Table
from bench.run import Run
from bench.speed import race

HEAD = Head(
    key="bulkhead",
    title="Bulkhead, uncontended",
    what="Async limit of 100 concurrent calls, one caller.",
)


async def run(bench: Run) -> Table:
    """Time the bulkhead that always has a slot."""
    return await race(HEAD, "bulkhead", bench)
