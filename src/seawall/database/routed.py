"""A connection that chooses its server at the first statement of each transaction.

To SQLAlchemy it is a DBAPI connection. It takes a connection of a node's pool when a statement comes, keeps it while
the transaction is open, and gives it back at its end:

    nothing ──read──► standby ──write──► primary ──commit, rollback──► nothing
       └─────────────write───────────────┘

A transaction that has only read from a standby goes on at the primary when it writes; never the other way. That holds
for READ COMMITTED, in which every statement sees what is newest anyway; stricter ones begin at the primary.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from seawall.core import deadline
from seawall.database.adapted import Late, position_of, within
from seawall.database.binding import bind
from seawall.database.cluster import Cluster
from seawall.database.cursor import RoutedCursor, StreamedCursor
from seawall.database.errors import (
    CommitUnknownError,
    DatabaseError,
    DatabaseUnavailableError,
    QueryTimeoutError,
)
from seawall.database.events import StatementRerun
from seawall.database.node import Node
from seawall.database.reclaim import reclaim
from seawall.database.routing import Caller, Route
from seawall.database.sqlstate import (
    READ_ONLY,
    RECOVERY_CONFLICTS,
    has_state,
    hide_values,
    is_lost,
    is_stale,
    state_of,
)
from seawall.database.statements import StatementClass
from seawall.database.telling import tell

ATTEMPTS = 4
"""Servers tried for one statement."""
_CHANGING = frozenset({StatementClass.WRITE, StatementClass.SESSION})
_LOOSE = {None, "read_committed", "autocommit"}


class RoutedConnection(AdaptedConnection):
    """A connection to a cluster. Used within a greenlet, as SQLAlchemy does."""

    __slots__ = (
        "_adapted", "_borrowed", "_broken", "_cluster", "_cursors", "_done", "_nested", "_node", "_route", "_wrote",
        "deferrable", "isolation_level", "pinned", "readonly",
    )  # fmt: skip

    def __init__(self, cluster: Cluster, route: Route) -> None:
        self._cluster = cluster
        self._route = route
        self._node: Node | None = None
        self._borrowed: PoolProxiedConnection | None = None
        self._adapted: Any = None
        self._done = 0
        self._wrote = False
        self._nested = False
        self._broken: DatabaseError | None = None
        self._cursors: list[RoutedCursor] = []
        self.pinned = False
        """Whether the server keeps something for this connection that a transaction's end doesn't remove."""
        self.isolation_level: str | None = None
        self.readonly = False
        self.deferrable = False

    @property
    def _connection(self) -> Any:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._own()._connection

    @property
    def node(self) -> Node | None:
        """The server of the transaction that is open."""
        return self._node

    @property
    def autocommit(self) -> bool:
        """Whether each statement is a transaction of its own."""
        return self.isolation_level == "autocommit"

    def set_isolation_level(self, level: str | None) -> None:
        """For the transactions to come."""
        self.rollback()
        self.isolation_level = level

    def cursor(self, server_side: bool = False) -> RoutedCursor:
        """A cursor; its first statement decides where."""
        if not server_side:
            return RoutedCursor(self, server_side)
        cursor = StreamedCursor(self, server_side)
        self._cursors.append(cursor)
        return cursor

    @property
    def stale_before(self) -> float:
        """What was prepared before is prepared anew, seconds since the epoch."""
        return self._cluster.stale_before

    # Statements.

    def run(self, operation: str, call: Callable[[Any], object], parameters: Any, *, server_side: bool) -> Any:
        """Have `call` execute `operation` with a cursor of the right server; the cursor."""
        if self._broken is not None:
            raise self._broken
        cluster = self._cluster
        kind = cluster.classify(operation)
        reads = self._route is Route.REPLICA or (kind is StatementClass.READ and self._may_read_elsewhere())
        caller = cluster.caller
        if self._node is None:
            self._begin(caller, reads=reads)
        elif not reads and kind is not StatementClass.READ and self._node is not cluster.primary and self._movable():
            self._unbind()
            self._bind(caller, reads=False)
        self._nested = self._nested or kind is StatementClass.TRANSACTION
        self.pinned = self.pinned or kind is StatementClass.SESSION
        for attempt in range(ATTEMPTS):
            node, began = cast("Node", self._node), time.perf_counter()
            try:
                cursor = self._execute(call, server_side)
            except Late:
                late = QueryTimeoutError(cluster.name, node.name)
                caller.strict = caller.strict or kind in _CHANGING
                self._abandon()
                self._failed(operation, kind, node, began, late)
                raise late from None
            except Exception as error:
                lost = is_lost(error, self._adapted)
                if attempt + 1 == ATTEMPTS or not self._again(node, operation, kind, caller, error, lost=lost):
                    self._failed(operation, kind, node, began, error)
                    if lost:
                        raise self._lost(node, kind, caller) from error
                    hide_values(error)
                    raise
                continue
            except BaseException as error:
                caller.strict = caller.strict or (self.isolation_level == "autocommit" and kind in _CHANGING)
                self._abandon()
                self._failed(operation, kind, node, began, error)
                raise
            self._done += 1
            self._wrote = self._wrote or kind in _CHANGING
            if self._route is not Route.REPLICA:
                caller.read(node.state, cluster.clock.monotonic())
            cluster.ran(operation, kind, node, time.perf_counter() - began, cursor.rowcount, parameters)
            if self.isolation_level == "autocommit":
                self._end(caller)
            return cursor
        raise AssertionError

    def _failed(self, operation: str, kind: StatementClass, node: Node, began: float, error: BaseException) -> None:
        cluster = self._cluster
        tell(cluster.events, cluster.name, node.name, operation, kind, time.perf_counter() - began, error=error)

    def _execute(self, call: Callable[[Any], object], server_side: bool) -> Any:
        cursor = self._adapted.cursor(server_side)
        # In a transaction the server keeps the time.
        left = deadline.remaining(clock=self._cluster.clock) if self.isolation_level == "autocommit" else None
        if left is None:
            call(cursor)
        else:
            within(left, partial(call, cursor))
        return cursor

    def _may_read_elsewhere(self) -> bool:
        loose = self._route is not Route.PRIMARY and self.isolation_level in _LOOSE
        return loose and not self._wrote and not self._nested and not self.pinned

    def _movable(self) -> bool:
        """Whether another server can go on with what is done so far."""
        if self._wrote or self.pinned:
            return False
        return not self._done or (self.isolation_level in _LOOSE and not self._nested)

    def _lost(self, node: Node, kind: StatementClass, caller: Caller) -> DatabaseError:
        if self.isolation_level == "autocommit":
            if kind is not StatementClass.READ:
                caller.strict = True
                return CommitUnknownError(self._cluster.name, node.name)
            return DatabaseUnavailableError(self._cluster.name, "connection", f"that to {node.name} was lost")
        reason = f"that to {node.name} was lost, its transaction is undone"
        # What follows must not be taken for a transaction of its own.
        self._broken = DatabaseUnavailableError(self._cluster.name, "connection", reason)
        return self._broken

    def _again(
        self, node: Node, operation: str, kind: StatementClass, caller: Caller, error: Exception, *, lost: bool
    ) -> bool:
        """Whether the statement may be run once more; then this connection is bound anew."""
        cluster, state = self._cluster, state_of(error)
        on_primary, movable, stale = node is cluster.primary, self._movable(), is_stale(error)
        reads = False
        if lost:
            cluster.failed(node, "a connection was lost")
        if state == READ_ONLY:
            demoted = on_primary and not self.readonly and await_only(node.is_standby())
            if demoted:
                cluster.demoted(node)
            elif not on_primary and kind is StatementClass.READ:
                cluster.refused(operation)
            again = movable and self._route is not Route.REPLICA and (not on_primary or (demoted and not self._done))
        else:
            conflict = not on_primary and has_state(error, RECOVERY_CONFLICTS)
            again = (lost or conflict or stale) and kind is StatementClass.READ and movable
            reads = not self._done and self._route is not Route.PRIMARY
        if stale:
            cluster.stale_before = time.time()
        if again or lost:
            self._unbind(broken=not stale)
        if again:
            self._bind(caller, reads=reads, without=None if stale else node)
            if cluster.events.listeners:
                onto = "" if self._node is None else self._node.name
                cluster.events.emit(StatementRerun(database=cluster.name, node=node.name, sqlstate=state, onto=onto))
        return again

    def broken_off(self, error: Exception) -> Exception:
        """What to raise where `error` ended the rows of a cursor; where a server is lost, the transaction is undone."""
        node, cluster = self._node, self._cluster
        lost = is_lost(error, self._adapted)
        if node is None or not (lost or (node is not cluster.primary and has_state(error, RECOVERY_CONFLICTS))):
            return error
        if lost:
            cluster.failed(node, "a connection was lost")
        self._unbind(broken=True)
        reason = f"that to {node.name} was lost before all rows had come, its transaction is undone"
        self._broken = DatabaseUnavailableError(cluster.name, "connection", reason)
        return self._broken

    # Binding.

    def _begin(self, caller: Caller, *, reads: bool) -> None:
        """Bind a new transaction."""
        self._cluster.check_accepting()
        self._bind(caller, reads=reads)

    def _bind(self, caller: Caller, *, reads: bool, without: Node | None = None) -> None:
        self._node, self._borrowed, self._adapted = bind(
            self._cluster, caller, self._route, self, reads=reads, without=without
        )

    def _own(self) -> Any:
        """The primary's connection, given out: whatever is done with it counts as a write, and stays on it."""
        if self._adapted is None or self._node is not self._cluster.primary:
            if not in_greenlet() or not self._movable():
                message = (
                    "run a statement that writes first, or use Route.PRIMARY: until then it is nobody's connection"
                )
                raise RuntimeError(message)
            take = self._begin if self._node is None else self._bind
            self._unbind()
            take(self._cluster.caller, reads=False)
        self._wrote = self.pinned = True
        return self._adapted

    def _unbind(self, *, broken: bool = False) -> None:
        node, borrowed, adapted = self._node, self._borrowed, self._adapted
        self._clear()
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

    def _clear(self) -> None:
        self._node = self._borrowed = self._adapted = None
        self._done, self._wrote, self._nested = 0, False, False
        for cursor in self._cursors:
            cursor.end()
        self._cursors.clear()

    def _abandon(self) -> None:
        """The caller has gone in the middle of a statement: the connection is put in order behind his back."""
        node, borrowed = self._node, self._borrowed
        self._clear()
        pinned, self.pinned = self.pinned, False
        if node is not None and borrowed is not None:
            reclaim(node, borrowed, fit=not pinned)

    # The end of a transaction.

    def commit(self) -> None:
        """End the transaction. Raises `CommitUnknownError` when nobody can tell whether it was committed."""
        node, caller = self._node, self._cluster.caller
        if self._broken is not None:
            raise self._broken
        if node is None:
            return
        try:
            self._adapted.commit()
        except Exception as error:
            if not is_lost(error, self._adapted):
                raise
            wrote = self._wrote
            self._unbind(broken=True)
            if wrote:
                caller.strict = True
                raise CommitUnknownError(self._cluster.name, node.name) from error
            return  # it has only read
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
                position = await_only(position_of(self._adapted))
            except Exception:  # noqa: BLE001 - it is committed, that much is sure
                caller.strict = True
                self._unbind(broken=True)
                return
            except BaseException:
                caller.strict = True
                self._abandon()
                raise
            caller.wrote(position)
            self._cluster.committed(position)
        self._wrote, self._nested, self._done = False, False, 0
        if not self.pinned:
            self._unbind()

    def rollback(self) -> None:
        """Undo the transaction."""
        self._broken = None
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
        self._broken = None
        self._unbind()

    def terminate(self) -> None:
        """As `close`, for a connection that is of no use any more."""
        self._abandon()
