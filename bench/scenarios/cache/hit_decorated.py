"""Hit of a cached function."""

import inspect
from collections.abc import Callable
from typing import Any

from bench.cache_shape import ENTRIES, Load
from bench.model import Head, Table
from bench.run import Run
from bench.scenarios.cache.hit_async import HOT, entries
from bench.speed import Yardstick, race

HEAD = Head(
    key="hit_decorated",
    title="Hit of a cached function, awaited",
    what=f"`await function(key)` of a decorated `async def`, one hot key among {ENTRIES:,}; beside an `async def` that "
    "only returns its argument. A contender that calls the function again for a key it has been called with is failed.",
)


async def run(bench: Run) -> Table:
    """Time the hit."""
    yardstick = Yardstick(asked=HOT, answer=HOT)
    return await race(HEAD, "hit_decorated", bench, make=_filled, yardstick=yardstick)


async def _filled(factory: Callable[..., Any]) -> Load:
    """Have a peer cache a function, call it with every key, and see that the last call was a hit."""
    loads = 0

    async def podcast(key: str) -> str:
        nonlocal loads
        loads += 1
        return key

    made = factory(podcast, ENTRIES)
    cached: Load = await made if inspect.isawaitable(made) else made
    for key in entries():
        await cached(key)
    before = loads
    await cached(HOT)
    if loads != before:
        message = "calls the function again"
        raise LookupError(message)
    return cached
