"""PostgreSQL servers for a scenario, and what only they know: where statements ran."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench.database_shape import SCHEMA, Opened, Servers
from bench.measure import describe
from bench.model import Figure, Row
from bench.registry import Peer
from bench.run import Run
from seawall.testing.postgres import Postgres

_PATIENCE = 10.0
"""Seconds a replica has to catch up, and a peer to open."""
_SCANS = "select coalesce(sum(seq_scan), 0) from pg_stat_user_tables"


@dataclass(frozen=True)
class Cluster:
    """A primary and its streaming replicas."""

    primary: Postgres
    replicas: tuple[Postgres, ...]

    @property
    def servers(self) -> Servers:
        """Their URLs."""
        return Servers(primary=self.primary.url, replicas=tuple(replica.url for replica in self.replicas))

    def run(self, sql: str) -> None:
        """Run statements on the primary, and wait until the replicas have what they did."""
        self.primary.psql(sql)
        self.catch_up()

    def catch_up(self) -> None:
        """Wait until the replicas have replayed all there is."""
        target, ends = self.primary.psql("select pg_current_wal_insert_lsn()"), time.monotonic() + _PATIENCE
        for replica in self.replicas:
            while replica.psql(f"select pg_last_wal_replay_lsn() >= '{target}'") != "t":
                if time.monotonic() > ends:
                    message = f"the replica on port {replica.port} does not catch up"
                    raise TimeoutError(message)
                time.sleep(0.02)

    def scans(self) -> int:
        """Scans of tables without an index, at the replicas; sessions count them at the latest when they end."""
        return sum(int(replica.psql(_SCANS)) for replica in self.replicas)

    async def connect(self) -> Any:
        """A connection of asyncpg's to the primary, for the scenario itself."""
        return await asyncpg.connect(self.primary.url)


@contextmanager
def cluster(replicas: int) -> Iterator[Cluster]:
    """A primary with so many replicas and the tables, for the length of a block."""
    with Postgres() as primary:
        made = Cluster(primary, tuple(primary.replica() for _ in range(replicas)))
        made.run(SCHEMA)
        yield made


async def enter(stack: AsyncExitStack, factory: Callable[[Servers], Any], servers: Servers) -> Opened:
    """Open a peer until the stack is left."""
    async with asyncio.timeout(_PATIENCE):
        opened: Opened = await stack.enter_async_context(factory(servers))
        return opened


Examined = tuple[Mapping[str, Figure], str]
"""Figures of a row, and a note."""


async def each(
    bench: Run,
    key: str,
    ability: str,
    examine: Callable[[Peer, Callable[[Servers], Any]], Awaitable[Examined]],
    most: float,
) -> list[Row]:
    """Examine every peer that offers `ability`, one after the other, each for `most` seconds; their rows.

    key: the scenario's, for the peers' notes.
    """
    rows, tick = list[Row](), bench.bar(len(bench.peers))
    for peer in bench.peers:
        factory = peer.offer(ability)
        if peer.broken:
            rows.append(Row(name=peer.name, failed=peer.broken))
        elif factory is None:
            rows.append(Row(name=peer.name, absent=peer.reason(ability), reference=peer.reference))
        else:
            try:
                async with asyncio.timeout(most):
                    figures, found = await examine(peer, factory)
            except Exception as error:  # noqa: BLE001  a broken contender becomes a line in the table
                rows.append(Row(name=peer.name, failed=describe(error)))
            else:
                note = "; ".join(filter(None, (peer.note(key), found)))
                rows.append(Row(name=peer.name, figures=figures, reference=peer.reference, note=note or None))
        tick()
    return rows


def kinds(errors: Sequence[BaseException]) -> str:
    """The kinds of errors, with how many of each."""
    names = [type(getattr(error, "orig", None) or error).__name__ for error in errors]
    return ", ".join(f"{names.count(name)} × {name}" for name in sorted(set(names)))
