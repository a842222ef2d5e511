"""Statements that only look like reads."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import Executable, select, text

from bench.database_shape import Opened, Servers, Visit
from bench.measure import describe
from bench.model import Column, Figure, Head, Table, ordered
from bench.postgres import Cluster, Examined, cluster, each, enter
from bench.registry import Peer
from bench.run import Run

_MOST = 30.0
_LOCK = 4711
_SETTLE = 1.2
"""Seconds in which the catalogue is known and the servers have counted what was done."""

_SCHEMA = """
create sequence tickets;
create function ticket() returns bigint language sql stable as 'select nextval(''tickets'')';
create function note_visit() returns int language plpgsql as
  $$ begin update visits set n = n + 1 where id = 1; return 1; end $$;
create view next_ticket as select nextval('tickets') as number;
"""

TRICKY = (
    "WITH made AS (INSERT INTO visits VALUES (101, 0) RETURNING id) SELECT id FROM made",
    "INSERT INTO visits VALUES (102, 0) RETURNING id",
    "/* SELECT */ UPDATE visits SET n = n + 1 WHERE id = 2",
    "MERGE INTO visits USING (SELECT 3 AS id) AS given ON visits.id = given.id WHEN MATCHED THEN UPDATE SET n = 0",
    "SELECT nextval('tickets')",
    "SELECT setval('tickets', 100)",
    "SELECT number FROM next_ticket",
    "SELECT ticket()",
    "SELECT note_visit()",
    "SELECT n FROM visits WHERE id = 4 FOR UPDATE",
    "SELECT n FROM visits WHERE id = 4 FOR KEY SHARE",
    "EXPLAIN ANALYZE UPDATE visits SET n = n + 1 WHERE id = 5",
    "SELECT pg_current_wal_lsn()",
    f"SELECT pg_advisory_xact_lock({_LOCK})",
)

READS: tuple[Executable, ...] = (
    select(Visit.n).where(Visit.id == 6),  # noqa: PLR2004
    text("SELECT n FROM visits WHERE id = 7"),
    text("WITH chosen AS (SELECT n FROM visits WHERE id = 8) SELECT n FROM chosen"),
    text("SELECT n, 'update or delete' AS update FROM visits WHERE id = 9"),
    text("SELECT lower(n::text) AS n, now() FROM visits WHERE id = 10"),
)


async def run(bench: Run) -> Table:
    """Send them through every peer."""
    with cluster(1) as servers:
        await asyncio.to_thread(servers.run, _SCHEMA)

        async def examine(_: Peer, factory: Callable[[Servers], Any]) -> Examined:
            return await _examine(factory, servers)

        rows = await each(bench, "misroutes", "routed", examine, _MOST)
    return Table(
        head=Head(
            key="misroutes",
            title="Statements that only look like reads",
            what=f"{len(TRICKY)} statements as text, each in a session of its own: {'; '.join(TRICKY)}. Refused: they "
            "were sent to a replica and failed there. Lock lost: the advisory lock was taken on the replica, where it "
            f"excludes nobody. Beside them {len(READS)} that do only read: the share of these that ran on a replica.",
        ),
        columns=(
            Column("misrouted", "misrouted", "count"),
            Column("refused", "refused", "count"),
            Column("lost", "lock lost", "count"),
            Column("failed", "failed otherwise", "count"),
            Column("offloaded", "reads on a replica", "percent"),
        ),
        rows=ordered(rows, "misrouted"),
        rank="misrouted",
    )


async def _examine(factory: Callable[[Servers], Any], servers: Cluster) -> Examined:
    before = await asyncio.to_thread(servers.scans)
    shown: dict[str, Figure] = {"lost": 0}
    refused, failed = list[str](), list[str]()
    async with AsyncExitStack() as stack:
        opened = await enter(stack, factory, servers.servers)
        watching = await servers.connect()
        stack.callback(watching.terminate)
        await asyncio.sleep(_SETTLE)
        for sql in TRICKY:
            try:
                held = await _run(opened, text(sql), watching)
            except Exception as error:  # noqa: BLE001  counted
                (refused if _by_replica(error) else failed).append(f"{sql[:40]}: {describe(error)}"[:110])
            else:
                shown["lost"] = int(shown["lost"] or 0) + (str(_LOCK) in sql and not held)
        between = await _counted(servers, before)
        for statement in READS:
            await _run(opened, statement, watching)
    after = await _counted(servers, between)
    return {
        **shown,
        "refused": len(refused),
        "failed": len(failed),
        "misrouted": len(refused) + int(shown["lost"] or 0),
        "offloaded": (after - between) / len(READS),
    }, "; ".join(failed)


async def _run(opened: Opened, statement: Executable, watching: Any) -> bool:
    """Run it as a new caller, and commit; whether the primary held the lock before that."""
    with opened.calling():
        async with opened.session() as session:
            await session.execute(statement)
            held = await watching.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE objid = $1)", _LOCK)
            await session.commit()
    return bool(held)


async def _counted(servers: Cluster, before: int) -> int:
    """Scans at the replicas, when those of the last statements are among them."""
    found = before
    for _ in range(3):
        await asyncio.sleep(_SETTLE)
        found = await asyncio.to_thread(servers.scans)
    return found


def _by_replica(error: BaseException) -> bool:
    """Whether a replica said that it does no such thing: read-only, or in recovery."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) in {"25006", "55000"}
