"""The memory tier: entries of this process, bounded by number and bytes, found without looking at a clock.

A hit reads `fast`, a dictionary of entries that are sure to stay fresh until the next tick, a second later at most.
Whoever finds an entry the slow way, by key and clock, promotes it into `fast`; the tick empties it; whatever changes
or removes an entry takes it out at once. So a hot hit costs one look-up and one count, and time to live is exact.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from seawall.cache.freshness import Freshness
from seawall.cache.meter import Meter
from seawall.cache.node import Node, Packed, Raised
from seawall.cache.s3fifo import S3Fifo
from seawall.cache.sketch import FrequentItems
from seawall.core import SYSTEM_CLOCK, Clock
from seawall.core.options import number

TICK = 1.0
"""Seconds an entry may be answered without a look at the clock; it is only if it stays fresh that long."""
MOST_ALIASES = 8
"""Ways to find one entry fast. A caller with more of them, such as a NaN, never uses one twice."""
OVERHEAD = 400
"""Bytes an entry takes beside its key and value: measured, on 64-bit CPython."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryStatistics:
    """The memory tier at one moment. `weight` is bytes where bytes bound it, else entries; the rest are counts.

    bytes: what it holds; None where entries alone bound it, which are not weighed then.
    """

    entries: int
    bytes: int | None
    weight: int
    capacity: int
    evicted: int
    refused: int


class MemoryTier:
    """Entries in this process.

    max_entries: how many it holds. max_bytes: how many bytes, of encoded values, keys and overhead; None counts
    entries only. With both, neither is exceeded. What goes when it is full: see `s3fifo`.

    Usable from any number of threads: hits take no lock, changes do.
    """

    def __init__(self, *, max_entries: int = 10_000, max_bytes: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        number("MemoryTier", "max_entries", max_entries, at_least=0, integer=True)
        if max_bytes is not None:
            number("MemoryTier", "max_bytes", max_bytes, at_least=1, integer=True)
        self.clock = clock
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.fast: dict[str, Node] = {}
        self.nodes: dict[str, Node] = {}
        self.epoch = 0
        self.trusted_from = 0
        self.evicted = 0
        self.swept = 0
        self._hand: Iterator[str] = iter(())
        self.refused = 0
        self.departed = FrequentItems()
        """The hits of keys that have left, where those of one that is here are its entry's."""
        # An entry weighs at least its share of the bytes, so the one capacity keeps both bounds.
        self._least = 1 if max_bytes is None else max(1, max_bytes // max(max_entries, 1))
        self._queues = S3Fifo(max_entries if max_bytes is None else max_bytes if max_entries else 0)
        self._tags: dict[str, set[Node]] = {}
        self._lock = threading.RLock()
        self._fast_until = 0.0
        self._aliases: list[dict[Any, Node]] = []
        self._ticking = False

    def trusts(self, node: Node) -> bool:
        """Whether every change of `node` by others would have been heard."""
        return node.epoch >= self.trusted_from

    def put(
        self,
        key: str,
        value: Any,
        *,
        version: int,
        stored: float,
        fresh_until: float,
        freshness: Freshness,
        meter: Meter,
        tags: tuple[str, ...] = (),
        validator: str | None = None,
        size: int = 0,
    ) -> bool:
        """Keep `value`, unless a newer version is there already. `size` is its bytes. Says whether it was kept."""
        weight = max(self._least, size + len(key) + OVERHEAD) if self.max_bytes is not None else 1
        with self._lock:
            node = self.nodes.get(key)
            if node is not None and node.version > version:
                return False
            meter.put(size, fresh_until - stored, freshness)
            if weight > self._queues.capacity:
                self.refused += self._queues.capacity > 0
                meter.refused += self._queues.capacity > 0
                if node is not None:
                    self._remove(node)
                return False
            known = node is not None
            if node is None:
                node = Node(key)
                node.weight = weight
            else:
                self._renew(node, weight, meter, tags)
            node.value = value
            node.read_as = type(value)
            node.version = version
            node.stored = stored
            node.fresh_until = fresh_until
            node.rests_until = 0.0
            node.refresh_at = freshness.refresh_at(stored, fresh_until)
            node.freshness = freshness
            node.validator = validator
            node.epoch = self.epoch
            node.meter = meter
            if node.tags != tags:
                node.tags = tags
                for tag in tags:
                    self._tags.setdefault(tag, set()).add(node)
            if not known:
                self.nodes[key] = node
                self._queues.admit(node)
                meter.returned += node.main
            self._evict()
            self._sweep()
            return not node.gone

    def _renew(self, node: Node, weight: int, meter: Meter, tags: tuple[str, ...]) -> None:
        """Prepare a node that is there for another value."""
        self._demote(node)
        self._queues.reweigh(node, weight)
        if node.meter is not meter:
            node.meter.hits += int(node.hits)
            meter.hits -= int(node.hits)  # they are the node's, which counts for its new meter from now on
        if node.tags != tags:
            self._untag(node)

    def _evict(self) -> None:
        for victim in self._queues.victims():
            self.evicted += 1
            victim.meter.evicted += 1  # type: ignore[attr-defined]
            self._unlink(victim)  # type: ignore[arg-type]

    def _sweep(self) -> None:
        """Look at the next two entries, and remove what has no use any more: each put pays for the sweep."""
        now = self.clock.monotonic()
        for _ in range(2):
            key = next(self._hand, None)
            if key is None:
                self._hand = iter(list(self.nodes))
            elif (node := self.nodes.get(key)) is not None and node.keep_until <= now:
                self.swept += 1
                self._remove(node)

    def rest(self, key: str, until: float) -> None:
        """Answer what is under `key` as if it were fresh until then: its loader has just failed."""
        node = self.nodes.get(key)
        if node is not None:
            node.rests_until = until

    def drop(self, key: str, version: int | None = None) -> bool:
        """Remove what is under `key`, if it is older than `version` (None: in any case). Says whether it did."""
        with self._lock:
            node = self.nodes.get(key)
            if node is None or (version is not None and node.version >= version):
                return False
            self._remove(node)
            return True

    def drop_tag(self, tag: str, version: int) -> int:
        """Remove what carries `tag` and is not newer than `version`; how many that were."""
        with self._lock:
            found = [node for node in self._tags.get(tag, ()) if node.version <= version]
            for node in found:
                self._remove(node)
            return len(found)

    def clear(self, version: int | None = None) -> None:
        """Remove everything, or everything not newer than `version`."""
        with self._lock:
            for node in list(self.nodes.values()):
                if version is None or node.version <= version:
                    self._remove(node)

    def distrust(self) -> int:
        """Take every entry for unverified: a change may have gone unheard. Returns what `trust` takes to undo it."""
        with self._lock:
            before = self.trusted_from
            self.epoch += 1
            self.trusted_from = self.epoch
            self._empty()
            return before

    def trust(self, since: int) -> None:
        """Nothing went unheard after all: entries are as good as they were when `distrust` returned `since`."""
        self.trusted_from = since

    def promote(self, node: Node, now: float) -> None:
        """Answer `node` without a look at the clock until the next tick, if it is sure to stay fresh that long."""
        if not self._ticking:
            # Only a running loop can tick, and only real time passes while it does.
            if self.clock is not SYSTEM_CLOCK or not isinstance(loop := _running_loop(), asyncio.AbstractEventLoop):
                return
            self._fast_until = now + TICK
            # The loop alone holds the timer: one that is closed first drops it, which counts as the tick.
            self._ticking = True
            loop.call_later(TICK, _Tick(self))
        if node.refresh_at <= self._fast_until or isinstance(node.value, Packed | Raised):
            return
        with self._lock:
            if node.gone or not self.trusts(node):
                return
            self.fast[node.key] = node

    def add_alias(self, node: Node, aliases: dict[Any, Node], alias: Hashable) -> None:
        """Find `node` in `aliases` under `alias` for as long as it is in `fast`."""
        with self._lock:
            few = node.aliases is None or len(node.aliases) < MOST_ALIASES
            if few and self.fast.get(node.key) is node and aliases.get(alias) is not node:
                node.aliases = [*(node.aliases or ()), (aliases, alias)]
                aliases[alias] = node

    def alias(self) -> dict[Any, Node]:
        """A dictionary for another way to find entries fast; emptied with `fast`."""
        aliases: dict[Any, Node] = {}
        self._aliases.append(aliases)
        return aliases

    def statistics(self) -> MemoryStatistics:
        """A frozen picture of this moment."""
        return MemoryStatistics(
            entries=len(self.nodes),
            bytes=None if self.max_bytes is None else self._queues.weight,
            weight=self._queues.weight,
            capacity=self._queues.capacity,
            evicted=self.evicted,
            refused=self.refused,
        )

    def snapshot(self, meters: Iterable[Meter]) -> tuple[list[Node], dict[Meter, int]]:
        """The entries, and what `meters` have collected from those that left, at one moment."""
        with self._lock:
            return list(self.nodes.values()), {meter: meter.hits for meter in meters}

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self.nodes.values()))

    def tick(self) -> None:
        """Empty `fast`: who is found next is compared with the clock again."""
        with self._lock:
            self._ticking = False
            self._empty()

    def _empty(self) -> None:
        self.fast.clear()
        for aliases in self._aliases:
            for node in aliases.values():
                node.aliases = None
            aliases.clear()

    def _demote(self, node: Node) -> None:
        self.fast.pop(node.key, None)
        if node.aliases is not None:
            for aliases, key in node.aliases:
                aliases.pop(key, None)
            node.aliases = None

    def _remove(self, node: Node) -> None:
        self._queues.forget(node)
        self._unlink(node)

    def _unlink(self, node: Node) -> None:
        self._demote(node)
        node.meter.collect(node)
        if node.hits:
            self.departed.add(node.key, int(node.hits))
        if self.nodes.get(node.key) is node:
            del self.nodes[node.key]
        self._untag(node)

    def _untag(self, node: Node) -> None:
        for tag in node.tags:
            nodes = self._tags.get(tag)
            if nodes is not None:
                nodes.discard(node)
                if not nodes:
                    del self._tags[tag]
        node.tags = ()


class _Tick:
    """The tick's callback; a loop that closes before it drops it, which counts as the tick."""

    __slots__ = ("_memory",)

    def __init__(self, memory: MemoryTier) -> None:
        self._memory: MemoryTier | None = memory

    def __call__(self) -> None:
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.tick()

    __del__ = __call__


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
