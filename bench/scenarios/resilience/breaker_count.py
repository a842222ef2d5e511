"""Breaker, closed, success."""

from bench.model import Head, Table
from bench.run import Run
from bench.speed import race

HEAD = Head(
    key="breaker_count",
    title="Breaker, closed, success",
    what="Async breaker in its default counting (consecutive failures, a count or a time window), closed; the "
    "call succeeds.",
)


async def run(bench: Run) -> Table:
    """Time the closed breaker that each peer gives by default."""
    return await race(HEAD, "breaker", bench)
