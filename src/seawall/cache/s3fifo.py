"""Which entries stay when memory is full: S3-FIFO, with weights.

New keys enter a small queue (a tenth of the room). What is read again before it reaches the end moves to the main
queue, the rest leaves at once, so a scan of keys read only once cannot push out what is read often. Keys that left
the small queue are remembered as ghosts; one that comes back goes straight into the main queue. A hit moves
nothing: it counts, and the count is read when the entry's turn comes.

After Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Protocol

SMALL_SHARE = 10
"""The small queue's share of the room is one in this many."""
TIDY = 64
"""The queues are left alone until so many of theirs are gone."""
MOST = 3
"""A count above this says no more."""


class Resident(Protocol):
    """What the queues need of an entry.

    hits: grows with every hit. seen: `hits` when its turn last came, moved on so that `hits - seen` is its
    credit. main: whether it stands in the main queue. gone: it left; the queue drops it when it meets it.
    """

    key: str
    weight: int
    hits: float
    seen: float
    main: bool
    gone: bool


class S3Fifo:
    """The two queues and the ghosts. `admit` an entry, `forget` one, and ask for `victims` while there is too much."""

    __slots__ = ("_dropped", "_main", "_small", "capacity", "ghosts", "small_weight", "weight")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.weight = 0
        self.small_weight = 0
        self._small: deque[Resident] = deque()
        self._main: deque[Resident] = deque()
        self.ghosts: OrderedDict[int, None] = OrderedDict()
        self._dropped = 0

    def admit(self, entry: Resident) -> None:
        """Take in `entry`, with its credit at nothing."""
        entry.seen = entry.hits
        ghost = hash(entry.key)
        entry.main = ghost in self.ghosts
        self.weight += entry.weight
        if entry.main:
            del self.ghosts[ghost]
            self._main.append(entry)
        else:
            self.small_weight += entry.weight
            self._small.append(entry)

    def forget(self, entry: Resident) -> None:
        """Let `entry` go for another reason than want of room."""
        entry.gone = True
        self.weight -= entry.weight
        if not entry.main:
            self.small_weight -= entry.weight
        self._dropped += 1
        # The queues are tidied when more than half of what stands in them is gone: constant work per entry.
        if self._dropped > TIDY and self._dropped * 2 > len(self._small) + len(self._main):
            self._small = deque(entry for entry in self._small if not entry.gone)
            self._main = deque(entry for entry in self._main if not entry.gone)
            self._dropped = 0

    def reweigh(self, entry: Resident, weight: int) -> None:
        """`entry` weighs `weight` from now on."""
        self.weight += weight - entry.weight
        if not entry.main:
            self.small_weight += weight - entry.weight
        entry.weight = weight

    def victims(self) -> Iterator[Resident]:
        """Entries to throw out until what stays fits; each is out of the queues when it is given."""
        while self.weight > self.capacity:
            small = self.small_weight * SMALL_SHARE >= self.capacity or not self._main
            victim = self._from_small() if small and self._small else self._from_main()
            if victim is not None:
                victim.gone = True
                yield victim

    def _from_small(self) -> Resident | None:
        entry = self._small.popleft()
        if entry.gone:
            self._dropped -= 1
            return None
        self.small_weight -= entry.weight
        if entry.hits - entry.seen > 1:
            entry.seen = entry.hits
            entry.main = True
            self._main.append(entry)
            return None
        self.weight -= entry.weight
        self._remember(entry)
        return entry

    def _from_main(self) -> Resident | None:
        entry = self._main.popleft()
        if entry.gone:
            self._dropped -= 1
            return None
        credit = min(entry.hits - entry.seen, MOST)
        if credit > 0:
            entry.seen = entry.hits - credit + 1
            self._main.append(entry)
            return None
        self.weight -= entry.weight
        return entry

    def _remember(self, entry: Resident) -> None:
        """As many ghosts as there are entries in the main queue; the hash stands for the key."""
        self.ghosts[hash(entry.key)] = None
        while len(self.ghosts) > max(len(self._main), 16):
            self.ghosts.popitem(last=False)
