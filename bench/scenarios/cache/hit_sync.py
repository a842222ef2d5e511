"""Hit in memory, not awaited."""

from functools import lru_cache

from bench.cache_shape import ENTRIES
from bench.measure import calling
from bench.model import Head, Table
from bench.run import Run
from bench.scenarios.cache.hit_async import HOT, entries
from bench.speed import Yardstick, race

LRU_CACHE = "functools.lru_cache"
HEAD = Head(
    key="hit_sync",
    title="Hit in memory, not awaited",
    what=f"`cache.get_nowait(key)` of one hot key among {ENTRIES:,} inside a running event loop, beside a call of a "
    f"function under `{LRU_CACHE}`, which is C and has no time to live. cachebox and theine are Rust.",
)


@lru_cache(ENTRIES)
def _podcast(key: str) -> str:
    return key


async def run(bench: Run) -> Table:
    """Time the hit."""
    for key in entries():
        _podcast(key)
    yardstick = Yardstick(name=LRU_CACHE, short="lru_cache", call=_podcast, asked=HOT, answer=HOT, lap=calling)
    return await race(
        HEAD, "hit_sync", bench, make=lambda factory: factory(entries()), yardstick=yardstick, first=False
    )
