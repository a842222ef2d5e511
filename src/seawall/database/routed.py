"""A connection that chooses its server at the first statement of each transaction.

To SQLAlchemy it is a DBAPI connection. It takes a connection of a node's pool when a statement comes, keeps it while
the transaction is open, and gives it back at its end:

    nothing ──read──► standby ──write──► primary ──commit, rollback──► nothing
       └─────────────write───────────────┘

A transaction that has only read from a standby goes on at the primary when it writes; never the other way. That holds
for READ COMMITTED, in which every statement sees what is newest anyway; stricter ones begin at the primary.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, cast

from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from seawall.core import deadline
from seawall.database.adapted import begin
from seawall.database.cluster import Cluster
from seawall.database.cursor import RoutedCursor
from seawall.database.errors import CommitUnknownError, DatabaseError, DatabaseUnavailableError, PoolTimeoutError
from seawall.database.events import StatementRerun
from seawall.database.node import Node
from seawall.database.position import Position, lsn_of
from seawall.database.reclaim import reclaim
from seawall.database.routing import Caller
from seawall.database.sqlstate import (
    READ_ONLY,
    RECOVERY_CONFLICTS,
    brief,
    has_state,
    hide_values,
    is_away,
    is_lost,
    state_of,
)
from seawall.database.statements import StatementClass

ATTEMPTS = 4
"""Servers tried for one statement."""
PAUSE = 0.02
"""Seconds between two attempts to get a connection, times their number."""
_CHANGING = frozenset({StatementClass.WRITE, StatementClass.SESSION})
_POSITION = """
SELECT ('x' || substr(pg_walfile_name(lsn), 1, 8))::bit(32)::int, lsn::text FROM pg_current_wal_insert_lsn() AS lsn
"""
_CLOSED = "the server closed the connection"
_LOOSE = {None, "read_committed", "autocommit"}


class Route(StrEnum):
    """Where statements may go."""

    AUTO = "auto"
    PRIMARY = "primary"
    REPLICA = "replica"


class RoutedConnection(AdaptedConnection):
    """A connection to a cluster. Used within a greenlet, as SQLAlchemy does."""

    __slots__ = (
        "_adapted", "_borrowed", "_cluster", "_done", "_node", "_route", "_wrote", "deferrable", "isolation_level",
        "pinned", "readonly",
    )  # fmt: skip

    def __init__(self, cluster: Cluster, route: Route) -> None:
        self._cluster = cluster
        self._route = route
        self._node: Node | None = None
        self._borrowed: PoolProxiedConnection | None = None
        self._adapted: Any = None
        self._done = 0
        self._wrote = False
        self.pinned = False
        """Whether the server keeps something for this connection that a transaction's end doesn't remove."""
        self.isolation_level: str | None = None
        self.readonly = False
        self.deferrable = False

    @property
    def _connection(self) -> Any:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._bound_to_primary()._connection

    @property
    def node(self) -> Node | None:
        """The server of the transaction that is open."""
        return self._node

    @property
    def autocommit(self) -> bool:
        """Whether each statement is a transaction of its own."""
        return self.isolation_level == "autocommit"

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.set_isolation_level("autocommit" if value else None)

    def set_isolation_level(self, level: str | None) -> None:
        """For the transactions to come."""
        self.rollback()
        self.isolation_level = level

    def cursor(self, server_side: bool = False) -> RoutedCursor:
        """A cursor; its first statement decides where."""
        return RoutedCursor(self, server_side)

    # Statements.

    def run(self, operation: str, call: Callable[[Any], object], parameters: Any, *, server_side: bool) -> Any:
        """Have `call` execute `operation` with a cursor of the right server; the cursor."""
        cluster = self._cluster
        kind = cluster.classify(operation)
        reads = self._route is Route.REPLICA or (kind is StatementClass.READ and self._may_read_elsewhere())
        caller = cluster.caller
        if self._node is None:
            self._bind(caller, reads=reads)
        elif not reads and kind in _CHANGING and self._node is not cluster.primary and not self._wrote:
            self._unbind()
            self._bind(caller, reads=False)
        for attempt in range(ATTEMPTS):
            node, began = cast("Node", self._node), time.perf_counter()
            try:
                cursor = self._adapted.cursor(server_side)
                call(cursor)
            except Exception as error:
                lost = is_lost(error, self._adapted)
                if attempt + 1 == ATTEMPTS or not self._again(node, operation, kind, caller, error, lost=lost):
                    if lost:
                        raise self._lost(node, kind) from error
                    hide_values(error)
                    raise
                continue
            except BaseException:
                self._abandon()
                raise
            self._done += 1
            if kind in _CHANGING:
                self._wrote = True
                self.pinned = self.pinned or kind is StatementClass.SESSION
            caller.read(node.state, cluster.clock.monotonic())
            cluster.ran(operation, kind, node, time.perf_counter() - began, cursor.rowcount, parameters)
            if self.isolation_level == "autocommit" and not self.pinned:
                self._end(caller)
            return cursor
        raise AssertionError

    def _may_read_elsewhere(self) -> bool:
        loose = self._route is not Route.PRIMARY and self.isolation_level in _LOOSE
        return loose and not self._wrote and not self.pinned

    def _lost(self, node: Node, kind: StatementClass) -> DatabaseError:
        if self.isolation_level == "autocommit" and kind is not StatementClass.READ:
            return CommitUnknownError(self._cluster.name, node.name)
        reason = f"the connection to {node.name} was lost, its transaction is undone"
        return DatabaseUnavailableError(self._cluster.name, "connection", reason)

    def _again(
        self, node: Node, operation: str, kind: StatementClass, caller: Caller, error: Exception, *, lost: bool
    ) -> bool:
        """Whether the statement may be run once more; then this connection is bound anew."""
        cluster, state = self._cluster, state_of(error)
        on_primary, first = node is cluster.primary, not self._done
        if lost:
            cluster.failed(node, "a connection was lost")
        if state == READ_ONLY:
            if on_primary:
                cluster.demoted(node)
            elif kind is StatementClass.READ:
                cluster.refused(operation)
            again = not self._wrote and not (on_primary and not first) and self._route is not Route.REPLICA
            reads = False
        else:
            conflict = not on_primary and has_state(error, RECOVERY_CONFLICTS)
            again = (lost or conflict) and kind is StatementClass.READ and not self._wrote and not self.pinned
            reads = first and self._route is not Route.PRIMARY
        if again or lost:
            self._unbind(broken=True)
        if again:
            self._bind(caller, reads=reads, without=node)
            if cluster.events.listeners:
                onto = "" if self._node is None else self._node.name
                cluster.events.emit(StatementRerun(database=cluster.name, node=node.name, sqlstate=state, onto=onto))
        return again

    # Binding.

    def _bind(self, caller: Caller, *, reads: bool, without: Node | None = None) -> None:
        cluster = self._cluster
        for attempt in range(ATTEMPTS):
            node = cluster.standby(caller, without, any_will_do=self._route is Route.REPLICA) if reads else None
            if node is None:
                node = cluster.primary
                if node is None or (node is without and not reads):
                    node = await_only(cluster.await_primary(without))
            try:
                self._borrow(node)
            except PoolTimeout as error:
                options = node.options
                size = options.size + options.overflow
                raise PoolTimeoutError(cluster.name, node.name, size, options.wait) from error
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
                self._node = node
                return

    def _borrow(self, node: Node) -> None:
        borrowed = node.checkout()
        adapted: Any = borrowed.dbapi_connection
        try:
            if adapted._connection.is_closed():  # while nobody used it
                raise ConnectionResetError(_CLOSED)  # noqa: TRY301
            adapted.isolation_level = self.isolation_level
            if self.isolation_level != "autocommit":
                await_only(begin(adapted, self._begin()))
        except BaseException as error:
            if isinstance(error, Exception):
                node.throw_away(borrowed, error)
                if is_away(error):
                    node.renew()
            else:
                reclaim(node, borrowed)
            raise
        self._borrowed, self._adapted = borrowed, adapted

    def _begin(self) -> str:
        begin = "BEGIN"
        if self.isolation_level is not None:
            begin += f" ISOLATION LEVEL {self.isolation_level.replace('_', ' ').upper()}"
        if self.readonly:
            begin += " READ ONLY"
        if self.deferrable:
            begin += " DEFERRABLE"
        left = deadline.remaining(clock=self._cluster.clock)
        if left is not None:
            begin += f"; SET LOCAL statement_timeout = {max(1, int(left * 1000))}"
        return begin

    def _bound_to_primary(self) -> Any:
        if self._adapted is None:
            if not in_greenlet():
                message = "run a statement first: it decides which server's connection this is"
                raise RuntimeError(message)
            self._bind(self._cluster.caller, reads=False)
        return self._adapted

    def _unbind(self, *, broken: bool = False) -> None:
        node, borrowed, adapted = self._node, self._borrowed, self._adapted
        self._node = self._borrowed = self._adapted = None
        self._done, self._wrote = 0, False
        if node is None or borrowed is None:
            return
        adapted.isolation_level = None
        if self.pinned or broken:
            self.pinned = False
            node.throw_away(borrowed)
            return
        try:
            adapted.rollback()
        except Exception as error:  # noqa: BLE001 - it goes, whatever it died of
            node.throw_away(borrowed, error)
        except BaseException:
            reclaim(node, borrowed)
            raise
        else:
            node.give_back(borrowed)

    def _abandon(self) -> None:
        """The caller has gone in the middle of a statement: the connection is put in order behind his back."""
        node, borrowed = self._node, self._borrowed
        self._node = self._borrowed = self._adapted = None
        self._done, self._wrote, pinned, self.pinned = 0, False, self.pinned, False
        if node is not None and borrowed is not None:
            reclaim(node, borrowed, fit=not pinned)

    # The end of a transaction.

    def commit(self) -> None:
        """End the transaction. Raises `CommitUnknownError` when nobody can tell whether it was committed."""
        node, caller = self._node, self._cluster.caller
        if node is None:
            return
        try:
            self._adapted.commit()
        except Exception as error:
            if self._wrote and is_lost(error, self._adapted):
                caller.strict = True
                self._unbind(broken=True)
                raise CommitUnknownError(self._cluster.name, node.name) from error
            raise
        except BaseException:
            caller.strict = caller.strict or self._wrote
            self._abandon()
            raise
        self._end(caller)

    def _end(self, caller: Caller) -> None:
        """Note how far the primary has come with what was written, then give the connection back."""
        if self._wrote:
            # After the commit, and on the same connection: what was taken before may not cover it.
            try:
                timeline, lsn = await_only(self._adapted._connection.fetchrow(_POSITION))
            except Exception:  # noqa: BLE001 - it is committed, that much is sure
                caller.strict = True
                self._unbind(broken=True)
                return
            except BaseException:
                caller.strict = True
                self._abandon()
                raise
            position = Position(timeline, lsn_of(lsn))
            caller.wrote(position)
            caller.strict = False
            self._cluster.committed(position)
        self._wrote, self._done = False, 0
        if not self.pinned:
            self._unbind()

    def rollback(self) -> None:
        """Undo the transaction."""
        if self._node is None:
            return
        if not self.pinned:
            self._unbind()
            return
        try:
            self._adapted.rollback()
        except BaseException:
            self._abandon()
            raise
        self._wrote, self._done = False, 0

    def __repr__(self) -> str:
        return f"RoutedConnection({self._node.name if self._node else 'no transaction'})"

    def close(self) -> None:
        """Give everything back."""
        self._unbind()

    def terminate(self) -> None:
        """As `close`, for a connection that is of no use any more."""
        self._abandon()
