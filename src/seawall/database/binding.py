"""Which server the next transaction gets, and a connection to it on which that transaction has begun."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only

from seawall.core import deadline
from seawall.database.adapted import Late, begin, begin_sql, check_open, named, rename, within
from seawall.database.cluster import Cluster
from seawall.database.errors import DatabaseUnavailableError, PoolTimeoutError, QueryTimeoutError
from seawall.database.node import Node
from seawall.database.reclaim import reclaim
from seawall.database.routing import Caller, Route
from seawall.database.sqlstate import brief, is_away

ATTEMPTS = 4
"""Servers tried for one transaction."""
PAUSE = 0.02
"""Seconds between two attempts, times their number."""


class Begins(Protocol):
    """How a transaction begins."""

    isolation_level: str | None
    readonly: bool
    deferrable: bool


def bind(
    cluster: Cluster, caller: Caller, route: Route, how: Begins, *, reads: bool, without: Node | None
) -> tuple[Node, PoolProxiedConnection, Any]:
    """A server, a connection of its pool, and SQLAlchemy's adapted one in it; tried again where one is lost at once.

    Raises `PoolTimeoutError`, and what `choose` and `borrow` raise.
    """
    for attempt in range(ATTEMPTS):
        node = choose(cluster, caller, route, reads=reads, without=without)
        try:
            borrowed, adapted = borrow(cluster, node, how)
        except PoolTimeout as error:
            raise PoolTimeoutError(cluster.name, node.name, node.options.most, node.options.wait) from error
        except QueryTimeoutError:
            raise
        except Exception as error:
            if not is_away(error):
                raise
            # Nothing was sent but BEGIN, so nothing was done.
            cluster.failed(node, brief(error))
            if attempt + 1 == ATTEMPTS:
                reason = f"{node.name}: {brief(error)}"
                raise DatabaseUnavailableError(cluster.name, "connection", reason) from error
            if node is cluster.primary and attempt:
                without = node
            await_only(asyncio.sleep(PAUSE * attempt))
        else:
            if node is cluster.primary or reads:
                return node, borrowed, adapted
            # Another one was promoted while this connection was made.
            node.throw_away(borrowed)
    reason = "the primary changes faster than a connection to it is made"
    raise DatabaseUnavailableError(cluster.name, "connection", reason)


def choose(cluster: Cluster, caller: Caller, route: Route, *, reads: bool, without: Node | None) -> Node:
    """A standby that may serve `caller` if it `reads`, else the primary; waits for either, from within a greenlet.

    without: a server that just failed. Raises `DatabaseClosedError`, and `DatabaseUnavailableError` without a primary.
    """
    cluster.check_open()
    if reads:
        standby = cluster.standby(caller, without, any_will_do=route is Route.REPLICA)
        if standby is None and cluster.patience and without is None:
            standby = await_only(cluster.await_standby(caller))
        if standby is not None:
            return standby
    primary = cluster.primary
    return await_only(cluster.await_primary(without)) if primary is None or primary is without else primary


def borrow(cluster: Cluster, node: Node, how: Begins) -> tuple[PoolProxiedConnection, Any]:
    """A connection of `node`'s pool and the adapted one in it; a transaction is begun unless it autocommits.

    Raises `QueryTimeoutError` when the deadline passes while all are in use, and what the pool, the driver and the
    server raise; nothing is borrowed then.
    """
    left = deadline.remaining(clock=cluster.clock)
    given = None if cluster.label is None else cluster.label()
    try:
        borrowed = node.checkout() if left is None else within(left, node.checkout)
    except Late:
        raise QueryTimeoutError(cluster.name, node.name) from None
    adapted: Any = borrowed.dbapi_connection
    try:
        check_open(adapted)
        adapted.isolation_level = how.isolation_level
        label = None if cluster.label is None else named(adapted, node.application, given)
        if how.isolation_level != "autocommit":
            left = deadline.remaining(clock=cluster.clock)
            sql = begin_sql(how.isolation_level, left, readonly=how.readonly, deferrable=how.deferrable, label=label)
            await_only(begin(adapted, sql))
        elif label is not None:
            await_only(rename(adapted, label))
    except BaseException as error:
        if isinstance(error, Exception):
            node.throw_away(borrowed, error)
            if is_away(error):
                node.renew()
        else:
            reclaim(node, borrowed)
        raise
    return borrowed, adapted
