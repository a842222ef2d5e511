"""Hit in memory, awaited."""

from bench.cache_shape import ENTRIES
from bench.model import Head, Table
from bench.run import Run
from bench.speed import Yardstick, race

HEAD = Head(
    key="hit_async",
    title="Hit in memory, awaited",
    what=f"`await cache.get(key)` of one hot key among {ENTRIES:,}, beside an `async def` that only "
    "returns its argument.",
)
HOT = "podcast:5000"


def entries() -> dict[str, str]:
    """What is in memory: each value is its key."""
    return {key: key for key in (f"podcast:{number}" for number in range(ENTRIES))}


async def run(bench: Run) -> Table:
    """Time the hit."""
    yardstick = Yardstick(asked=HOT, answer=HOT)
    return await race(HEAD, "hit_async", bench, make=lambda factory: factory(entries()), yardstick=yardstick)
