"""Breaker with time window and slow calls, closed, success."""

from bench.model import Head, Table
from bench.run import Run
from bench.speed import race

HEAD = Head(
    key="breaker_time_slow",
    title="Breaker with time window and slow calls, closed, success",
    what="Async breaker over a window of 10 s with slow-call detection at 2 s, closed; the call succeeds at once.",
)


async def run(bench: Run) -> Table:
    """Time the closed breaker that also judges slow calls."""
    return await race(HEAD, "breaker_time_slow", bench)
