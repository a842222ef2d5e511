"""The demo's PostgreSQL: a primary with a year of data in it, and two replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from podcasts.generate import generate
from podcasts.migrations import upgrade
from seawall.database import Database
from seawall.testing.postgres import Postgres


class Cluster:
    """Three servers, of which one is the primary; who writes is told so when one replica has it on disk too.

    So nothing that was answered is lost with the primary, as long as the replica that is further takes over.
    """

    def __init__(self) -> None:
        self.primary = self._first = Postgres(config={"max_connections": 60})
        self.replicas: list[Postgres] = []

    def __enter__(self) -> Self:
        self._first.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._first.stop()  # and with it the replicas that were made of it

    def fill(self, events: int, progress: Callable[[int], object]) -> None:
        """Make the tables and generate data; `progress` is told how many events have been written."""

        async def fill() -> None:
            async with Database(self.primary.url) as database:
                await asyncio.to_thread(upgrade, database)
                await generate(database, events, 1, progress)

        asyncio.run(fill())

    def replicate(self) -> None:
        """Make the replicas."""
        self.replicas = [self.primary.replica() for _ in range(2)]
        self.primary.psql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        self.primary.reload()

    def promote(self) -> Postgres:
        """Make the replica that has received more the primary; returns it."""
        self.replicas.sort(key=_received)
        self.primary = self.replicas.pop()
        self.primary.promote()
        return self.primary

    def rejoin(self, former: Postgres) -> None:
        """Have the other replica, and the former primary as another one, follow the primary there is now."""
        for replica in (*self.replicas, former):
            replica.follow(self.primary)
        self.replicas.append(former)


def name(server: Postgres) -> str:
    """What the service calls it."""
    return f"{server.host}:{server.port}"


def _received(replica: Postgres) -> int:
    return int(replica.psql("SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')"))
