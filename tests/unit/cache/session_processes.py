"""Processes of a service that keeps sessions."""

from typing import Any

from seawall.cache import Cache, MemoryTier, SessionStore
from seawall.testing.tier import StoreTier

IDLE = 3600.0
DAY = 86_400.0


class Process:
    """A process of a service: a cache, a line to the store if there is one, and the sessions in them."""

    def __init__(self, clock, store=None, *, memory=1000, **options) -> None:
        self.tier: Any = None if store is None else StoreTier(store)
        tiers = [MemoryTier(max_entries=memory)] if self.tier is None else [MemoryTier(max_entries=memory), self.tier]
        self.cache = Cache(*tiers, clock=clock)
        self.sessions = SessionStore(self.cache, **options)

    async def __aenter__(self):
        await self.cache.__aenter__()
        return self

    async def __aexit__(self, *exc):
        await self.cache.__aexit__(None, None, None)


def one_process(run, process, main) -> None:
    """Run `main(sessions)` while the process is up."""

    async def running() -> None:
        async with process:
            await main(process.sessions)

    run(running())


def two_processes(run, two, main) -> None:
    """Run `main(one, other)` while both are up."""

    async def running() -> None:
        async with two[0], two[1]:
            await main(*two)

    run(running())


async def data_of(sessions, id_) -> Any:
    session = await sessions.get(id_)
    return None if session is None else session.data
