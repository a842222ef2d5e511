"""Retry, first attempt succeeds."""

from bench.model import Head, Table
from bench.run import Run
from bench.speed import race

HEAD = Head(
    key="retry",
    title="Retry, first attempt succeeds",
    what="Async retry of three attempts; the first one succeeds.",
)


async def run(bench: Run) -> Table:
    """Time the retry that has nothing to retry."""
    return await race(HEAD, "retry", bench)
