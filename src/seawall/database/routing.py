"""Which server a statement goes to: a pure decision over what is known of the servers and of the caller.

- A standby serves a caller only when it has replayed what the caller wrote: its position has reached the floor.
- What a caller has read once, it never misses later. Nobody can tell what exactly a server showed, but the server's
  position at a probe that began after the read is certainly not below it; until there is such a probe, the caller is
  served by the same server, or by the primary.
- Where nothing is certain, the primary serves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum

from seawall.database.position import Position

REMEMBERED = 64
"""Probes of a server that are remembered."""


class Role(StrEnum):
    """What a server said of itself last."""

    PRIMARY = "primary"
    STANDBY = "standby"
    UNKNOWN = "unknown"


class Route(StrEnum):
    """Where statements may go."""

    AUTO = "auto"
    PRIMARY = "primary"
    REPLICA = "replica"


class NodeState:
    """What is known of a server. The probe writes it, routing reads it; times are of the monotonic clock.

    usable: it answers and belongs to the cluster. slow: others answer much faster. incarnation: changes when the server
    was restarted. age: seconds since the commit that a standby replayed last, also while there are none; or None.
    receiving: whether a standby gets the primary's log by streaming; one that is fed from an archive doesn't.
    """

    __slots__ = (
        "age", "incarnation", "latency", "name", "positions", "probed", "receiving", "role", "slow",
        "started", "usable", "why",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.role = Role.UNKNOWN
        self.usable = False
        self.slow = False
        self.why = "not probed yet"
        self.started: list[float] = []
        self.positions: list[Position] = []
        self.probed = 0.0
        self.incarnation = ""
        self.latency = 0.0
        self.age: float | None = None
        self.receiving = False

    def saw(self, position: Position, started: float) -> None:
        """A probe that began at `started` found it at `position`."""
        if self.positions and not self.positions[-1].reached_by(position):
            self.forget()
        self.started.append(started)
        self.positions.append(position)
        if len(self.started) > 2 * REMEMBERED:
            del self.started[:REMEMBERED], self.positions[:REMEMBERED]

    def forget(self) -> None:
        """What it was can't be compared with what it is."""
        self.started.clear()
        self.positions.clear()

    @property
    def position(self) -> Position | None:
        """Where it was at the last probe; by now it is there or further."""
        return self.positions[-1] if self.positions else None

    def bound(self, moment: float) -> Position | None:
        """A position that nothing read before `moment` was beyond; None while no probe began since."""
        started = self.started
        if not started or started[-1] < moment:
            return None
        return self.positions[bisect_left(started, moment)]


class Caller:
    """What one user of the database has written and read, in however many requests and processes.

    floor: every read must come from a server that has reached it. seen: the server read last, as long as it isn't known
    how far that was. mixed: others of that kind, read at the same time; until they are settled the primary serves.
    """

    __slots__ = ("floor", "mixed", "reads", "seen", "seen_at", "strict")

    def __init__(self, floor: Position | None = None) -> None:
        self.floor = floor
        self.seen: NodeState | None = None
        self.seen_at = 0.0
        self.mixed: tuple[tuple[NodeState, float], ...] = ()
        self.strict = False
        """What was written can't be told: only the primary is sure to have it."""
        self.reads: dict[str, int] | None = None
        """How often each read was run; None where that is no loop's doing."""

    def wrote(self, position: Position) -> None:
        """A transaction was committed; `position` was taken after that."""
        self.raise_to(position)
        self.seen = None
        self.mixed = ()
        self.strict = False

    def read(self, node: NodeState, now: float) -> None:
        """Something was read from `node`, at the latest `now`."""
        if self.seen is not None and self.seen is not node:
            self.settle()
            if self.seen is not None:
                self.mixed = (*self.mixed, (self.seen, self.seen_at))
        self.seen = node
        self.seen_at = now

    def raise_to(self, position: Position) -> None:
        """Nothing below `position` from now on."""
        floor = self.floor
        # Of two timelines the later one counts: on it the primary was read, or written.
        if floor is None or position > floor:
            self.floor = position

    def settle(self) -> None:
        """Replace servers that were read by positions, where there is one to tell."""
        if self.seen is not None and (bound := self.seen.bound(self.seen_at)) is not None:
            self.raise_to(bound)
            self.seen = None
        if self.mixed:
            left = []
            for node, moment in self.mixed:
                if (bound := node.bound(moment)) is None:
                    left.append((node, moment))
                else:
                    self.raise_to(bound)
            self.mixed = tuple(left)

    def join(self, other: Caller) -> None:
        """Nothing below what `other` has written and seen."""
        if other.floor is not None:
            self.raise_to(other.floor)
        for node, moment in other.mixed:
            self.read(node, moment)
        if other.seen is not None:
            self.read(other.seen, other.seen_at)
        self.strict = self.strict or other.strict


def pick_standby(standbys: Sequence[NodeState], caller: Caller, turn: int) -> NodeState | None:
    """A standby that may serve `caller`, None if that is for the primary. turn: spreads callers over equals."""
    if caller.strict or not standbys:
        return None
    if caller.seen is not None or caller.mixed:
        caller.settle()
        if caller.mixed:
            return None
    seen, floor, count = caller.seen, caller.floor, len(standbys)
    for step in range(count):
        node = standbys[(turn + step) % count]
        if not node.usable or (seen is not None and node is not seen):
            continue
        if floor is None:
            return node
        position = node.positions[-1]
        if position[0] == floor[0] and position[1] >= floor[1]:
            return node
    return None
