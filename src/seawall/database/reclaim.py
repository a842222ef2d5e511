"""What becomes of a connection whose caller has gone in the middle of a statement."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from seawall.database.adapted import forget
from seawall.database.node import Node

RECLAIM = 2.0
"""Seconds in which it must be fit for the next caller."""
_background: set[asyncio.Task[None]] = set()


def reclaim(node: Node, borrowed: PoolProxiedConnection, *, fit: bool = True) -> None:
    """Put a connection back into a state in which the next caller may have it, or close it."""
    task = asyncio.get_running_loop().create_task(_put_in_order(node, borrowed, fit=fit))
    _background.add(task)
    task.add_done_callback(_background.discard)


async def _put_in_order(node: Node, borrowed: PoolProxiedConnection, *, fit: bool) -> None:
    adapted: Any = borrowed.dbapi_connection
    connection: Any = None if adapted is None else adapted._connection
    with suppress(Exception):  # then it is closed
        if adapted is not None and not connection.is_closed():
            async with asyncio.timeout(RECLAIM):
                # It waits until the cancelled statement has ended, and is refused where that undid the transaction.
                with suppress(asyncpg.PostgresError):
                    await connection.execute("SELECT 1")
                if fit:
                    if connection.is_in_transaction():
                        await connection.execute("ROLLBACK")
                    forget(adapted)
                    await greenlet_spawn(node.give_back, borrowed)
                    return
    if connection is not None:
        connection.terminate()
    await greenlet_spawn(node.throw_away, borrowed)
