"""The servers together: which is the primary, which standbys may serve, and who is told when that changes."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Protocol

from seawall.core import Clock, Events, deadline
from seawall.database.errors import DatabaseClosedError, DatabaseUnavailableError, WrongServerError
from seawall.database.events import NodeDown, NodeUp, PrimaryChanged
from seawall.database.nearing import Nearing
from seawall.database.node import FAST, Node
from seawall.database.position import Position
from seawall.database.routing import Caller, NodeState, Role, pick_standby
from seawall.database.statements import StatementClass

_logger = logging.getLogger("seawall.database")
FAILOVER_WAIT = 5.0
"""Seconds a statement waits for a primary to appear; less if its deadline is nearer."""
CUT_OFF = 1.0
"""Seconds in which those whose connection was closed give it back."""
MOST_REFUSED = 1_000
SLOWER, SLOW_AT_LEAST = 5.0, 0.02
"""A standby whose probe takes so many times as long as the fastest one's, and so many seconds, is left out."""


class Classifies(Protocol):
    """Tells what kind of statement a text is."""

    def classify(self, sql: str) -> StatementClass:
        """The class of `sql`; what is unknown is a write."""
        ...


_AT_START: dict[str, StatementClass] = {
    "show standard_conforming_strings": StatementClass.READ,
    "show transaction isolation level": StatementClass.READ,
}
"""What SQLAlchemy asks of its first connection; any server may answer, for there may be no primary."""

Ran = Callable[[str, StatementClass, Node, float, int, Any], None]
"""Told of each statement that was run: text, class and server, the seconds it took, its rows, and its parameters."""


class Cluster:
    """A primary and its standbys. Roles are what the servers say, whatever the configuration calls them."""

    def __init__(
        self,
        name: str,
        nodes: Sequence[Node],
        classifier: Classifies,
        ran: Ran,
        events: Events,
        clock: Clock,
        *,
        patience: float = 0.0,
        label: Callable[[], str | None] | None = None,
    ) -> None:
        self.name = name
        self.nodes = tuple(nodes)
        self.events = events
        self.clock = clock
        self.primary: Node | None = None
        self.standbys: tuple[NodeState, ...] = ()
        self.current: ContextVar[Caller | None] = ContextVar(f"seawall_{name}_caller", default=None)
        self.own = Caller()
        """What this process has written and read where nobody else is named as the caller."""
        self._of = {id(node.state): node for node in nodes}
        self._turn = itertools.count()
        self._known = dict(_AT_START)
        self.started = False
        self.closing = False
        """Whether only what has begun goes on."""
        self.label = label
        """Tells for whom the work at hand is done."""
        self.stale_before = 0.0
        """What was prepared before that point, in seconds since the epoch, is prepared anew."""
        self._nearing = Nearing(patience, clock)
        self.classifier = classifier
        self.ran = ran
        self._changed = asyncio.Event()
        for node in nodes:
            node.measured = self.measured

    @property
    def caller(self) -> Caller:
        """Whose reads and writes these are."""
        return self.current.get() or self.own

    # Statements.

    def classify(self, operation: str) -> StatementClass:
        """What kind of statement it is."""
        return self._known.get(operation) or self.classifier.classify(operation)

    def refused(self, operation: str) -> None:
        """A standby refused it as a write, whatever it was taken for."""
        if len(self._known) >= MOST_REFUSED:
            self._known = dict(_AT_START)
        self._known[operation] = StatementClass.WRITE

    # Choosing.

    def check_open(self) -> None:
        """Raises `DatabaseClosedError` when it was left, `RuntimeError` when it wasn't entered."""
        if not self.started:
            if self.closing:
                raise DatabaseClosedError(self.name)
            message = f"{self.name!r} isn't entered; write `async with database:` around what uses it"
            raise RuntimeError(message)

    def check_accepting(self) -> None:
        """Raises `DatabaseClosedError` when no new transaction may begin."""
        if self.closing:
            raise DatabaseClosedError(self.name)

    @property
    def patience(self) -> float:
        """Seconds a read may wait for a standby."""
        return self._nearing.seconds

    def standby(self, caller: Caller, without: Node | None = None, *, any_will_do: bool = False) -> Node | None:
        """A standby that may serve `caller` now, None if there is none. any_will_do: however far behind it is."""
        if any_will_do:
            caller = Caller()
        standbys = self.standbys
        if without is not None:
            standbys = tuple(state for state in standbys if state is not without.state)
        found = pick_standby(standbys, caller, next(self._turn))
        if found is not None:
            return self._of[id(found)]
        for state in standbys:
            self._of[id(state)].hurry()
        if caller.seen is not None:
            self._of[id(caller.seen)].hurry()
        return None

    async def await_standby(self, caller: Caller) -> Node | None:
        """A standby that may serve `caller` within a moment, see `Nearing`; None if there is none."""
        standbys = [self._of[id(state)] for state in self.standbys]
        seen = None if caller.seen is None else self._of[id(caller.seen)]
        return await self._nearing.standby(caller, standbys, seen, lambda: self.standby(caller))

    async def await_primary(self, former: Node | None = None) -> Node:
        """The primary, or another one than `former` as soon as there is one. Raises `DatabaseUnavailableError`."""
        wait, since = deadline.bounded(FAILOVER_WAIT, clock=self.clock), self.clock.monotonic()
        try:
            async with asyncio.timeout(wait):
                # The former one will do when it has answered a probe since.
                while self.primary is None or (former is self.primary and self.primary.state.probed < since):
                    for node in self.nodes:
                        node.hurry()
                    self._changed.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(FAST):
                            await self._changed.wait()
        except TimeoutError:
            why = "; ".join(f"{node.name}: {node.state.why or node.state.role}" for node in self.nodes)
            raise DatabaseUnavailableError(self.name, "primary", why) from None
        return self.primary

    def committed(self, position: Position) -> None:
        """Something was written: soon somebody will ask who has it."""
        for state in self.standbys:
            if not state.positions or not position.reached_by(state.positions[-1]):
                self._of[id(state)].hurry(0.2)

    # Changing.

    def changed(self, node: Node) -> None:
        """The probe of `node` found something new."""
        for other in self.nodes:
            if other.state.usable and (wrong := self._foreign(other)) is not None:
                other.state.usable = False
                other.state.role = Role.UNKNOWN
                other.state.why = other.wrong = wrong
        primaries = [
            other for other in self.nodes if other.state.role is Role.PRIMARY and other.state.position is not None
        ]
        former = self.primary
        # Of two that take themselves for it, the one that was promoted last; an old one is told so by nobody.
        newest = max(
            primaries, key=lambda other: (other.state.positions[-1].timeline, other.state.usable), default=None
        )
        if newest is not None or (former is not None and former.state.role is Role.STANDBY):
            self.primary = newest
        if former is not None and self.primary is not None and self.primary is not former:
            # Whatever is under way there must not be taken for done.
            former.abandon()
            former.renew()
        self._line_up()
        self._tell(node, former)
        self._changed.set()

    def _line_up(self) -> None:
        states = [other.state for other in self.nodes if other.state.role is Role.STANDBY and other is not self.primary]
        self.standbys = tuple(state for state in states if not state.slow) or tuple(states)

    def measured(self, node: Node) -> None:
        """`node` has answered a probe: how far it has come and how fast it is was told anew.

        A standby that is much slower than the fastest one is left out.
        """
        self._nearing.answered()
        state, primary = node.state, self.primary
        if state.role is Role.PRIMARY or not state.usable:
            return
        others = [
            other.state for other in self.nodes if other is not node and other is not primary and other.state.usable
        ]
        fastest = min((other.latency for other in others), default=state.latency)
        limit = max(SLOWER * fastest, SLOW_AT_LEAST)
        slow = state.latency > (limit / 2 if state.slow else limit)
        if slow is not state.slow:
            state.slow = slow
            how = "too slow" if slow else "fast enough again"
            _logger.warning("database %s: %s is %s: %.0f ms", self.name, node.name, how, state.latency * 1000)
            self._line_up()

    def demoted(self, node: Node) -> None:
        """`node` refused a write: it is no primary any more, whatever its probe has found so far."""
        node.state.role = Role.STANDBY
        node.renew()
        node.hurry()
        self.changed(node)

    def failed(self, node: Node, reason: str) -> None:
        """`node` gave no connection, or lost one."""
        if node.state.usable and self.started:
            node.suspect(reason)
            self.changed(node)
        node.hurry()

    def _foreign(self, node: Node) -> str | None:
        # The first of the configuration is right.
        system = next((other.system for other in self.nodes if other.system), "")
        if node.system and node.system != system:
            return "belongs to another cluster (its system identifier differs); its URL is wrong, or its data"
        return None

    def _tell(self, node: Node, former: Node | None) -> None:
        state = node.state
        if state.usable:
            _logger.info("database %s: %s is there as %s", self.name, node.name, state.role)
        if self.events.listeners:
            event: NodeUp | NodeDown = (
                NodeUp(database=self.name, node=node.name, role=state.role)
                if state.usable
                else NodeDown(database=self.name, node=node.name, reason=state.why)
            )
            self.events.emit(event)
        primary = self.primary
        if primary is not None and primary is not former:
            timeline = primary.state.positions[-1].timeline
            old = None if former is None else former.name
            _logger.warning("database %s: the primary is %s, timeline %d", self.name, primary.name, timeline)
            if self.events.listeners:
                self.events.emit(PrimaryChanged(database=self.name, node=primary.name, former=old, timeline=timeline))

    # Life.

    async def start(self) -> None:
        """Begin to probe; wait for the first answers. Raises `WrongServerError` for what no waiting mends."""
        if self.started:
            message = f"{self.name!r} is entered already; it can be shared, but entered once"
            raise RuntimeError(message)
        self.started, self.closing = True, False
        for node in self.nodes:
            node.start()
        try:
            await asyncio.gather(*(node.tried.wait() for node in self.nodes))
            wrong = next((node for node in self.nodes if node.wrong is not None), None)
        except BaseException:
            await self.stop()
            raise
        if wrong is not None:
            await self.stop()
            raise WrongServerError(self.name, wrong.name, wrong.wrong or "")

    async def stop(self, drain: float = 0.0) -> None:
        """Take no new transaction, give those under way `drain` seconds, cut off the rest, and close the pools."""
        self.closing = True
        try:
            await self._idle(drain)
            self.started = False
            if busy := [node for node in self.nodes if node.in_use]:
                count = sum(node.in_use for node in busy)
                _logger.warning(
                    "database %s: %d transactions didn't end in %g s and are cut off", self.name, count, drain
                )
                await asyncio.gather(*(node.end_all() for node in busy))
                await self._idle(CUT_OFF)
        finally:
            self.started = False
            await asyncio.gather(*(node.stop() for node in self.nodes))

    async def _idle(self, seconds: float) -> None:
        """Until nothing is under way, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Rather than a signal from each connection that is ever given back.
                while any(node.in_use for node in self.nodes):  # noqa: ASYNC110
                    await asyncio.sleep(FAST)
