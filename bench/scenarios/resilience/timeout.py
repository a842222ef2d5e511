"""Timeout, the call returns at once."""

from bench.model import Head, Table
from bench.run import Run
from bench.speed import race

HEAD = Head(
    key="timeout",
    title="Timeout, the call returns at once",
    what="Async timeout of 1 s around a call that returns at once.",
)


async def run(bench: Run) -> Table:
    """Time the timeout that never fires."""
    return await race(HEAD, "timeout", bench)
