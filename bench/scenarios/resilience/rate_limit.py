"""Rate limit, within the limit."""

from bench.model import Head, Table
from bench.run import Run
from bench.speed import race

HEAD = Head(
    key="rate_limit",
    title="Rate limit, within the limit",
    what="Async rate limit that is never reached.",
)


async def run(bench: Run) -> Table:
    """Time the rate limit that never refuses."""
    return await race(HEAD, "rate_limit", bench)
