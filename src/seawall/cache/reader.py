"""Reading: memory first, then the shared tier, then a load."""

from __future__ import annotations

from typing import Any

from seawall.cache.errors import LoadTimeoutError
from seawall.cache.fill import Answer, Filler, Order
from seawall.cache.flight import Flight, StillFlyingError, circular
from seawall.cache.loading import MISSING
from seawall.cache.memory import MemoryTier
from seawall.cache.node import Node
from seawall.cache.shared import Shared
from seawall.cache.tier import TierUnavailableError
from seawall.cache.values import Seen, Values, opened, owned
from seawall.core import deadline


class Reader:
    """Finds what a caller asks one cache for."""

    def __init__(self, memory: MemoryTier, shared: Shared, values: Values, filler: Filler) -> None:
        self.memory = memory
        self.shared = shared
        self.values = values
        self.clock = memory.clock
        self._filler = filler
        self._monotonic = memory.clock.monotonic

    def fresh(self, key: str) -> Node | None:
        """The node of `key` that may be answered as it is."""
        node = self.memory.nodes.get(key)
        if node is None:
            return None
        now = self._monotonic()
        if now < node.rests_until:
            return node
        if now < node.fresh_until and (self.memory.trusts(node) or not self.shared.available):
            if now < node.refresh_at:
                self.memory.promote(node, now)
            return node
        return None

    async def get(self, order: Order, default: Any) -> Any:
        """The fresh value of `order.key` without a load, else `default`. Raises the error it stands for."""
        found = await self.find(order)
        return default if found is MISSING else opened(found)

    async def find(self, order: Order) -> Any:
        """What is kept of the fresh value of `order.key`, without a load; `MISSING` where there is none."""
        node = self._fitting(order)
        if node is not None:
            node.hits += 1.0
            return node.value
        seen = await self._read(order)
        now = self._monotonic()
        if seen is not None and now < seen.fresh_until:
            self._count_remote(order)
            return seen.own
        # The tier may have gone while it was asked: then memory answers after all.
        if not self.shared.available and (node := self._fitting(order)) is not None:
            order.meter.stale_hits += 1
            return node.value
        node = self.memory.nodes.get(order.key)
        order.meter.misses += 1
        order.meter.expired += seen is not None or (node is not None and node.fresh_until <= now)
        return MISSING

    def _fitting(self, order: Order) -> Node | None:
        """The node of `order.key` that may be answered as it is, to who asks for a type too."""
        node = self.fresh(order.key)
        wanted = order.type
        if node is None or wanted is None or wanted is node.read_as or wanted == node.read_as:
            return node
        if not self.values.fits(node.value, wanted):
            return None
        node.read_as = wanted
        return node

    async def answer(self, order: Order) -> Any:
        """What `get_or_set` gives for `order`."""
        node = self.memory.nodes.get(order.key)
        seen = None
        if node is not None:
            now = self._monotonic()
            trusted = self.memory.trusts(node)
            alone = not self.shared.available
            if now < node.rests_until or (now < node.fresh_until and trusted):
                node.hits += 1.0
                if now < node.refresh_at:
                    self.memory.promote(node, now)
                elif now >= node.rests_until:
                    self._refresh_behind(order, _seen(node))
                return opened(node.value)
            if now < node.serve_until and (trusted or alone):
                order.meter.stale_hits += 1
                self._refresh_behind(order, _seen(node))
                return opened(node.value)
            seen = _seen(node)
        return await self._load(order, seen)

    async def refresh(self, order: Order) -> Any:
        """Load `order.key` now, whatever is there; joins a load under way."""
        flight = self.shared.flights.get(order.key)
        if flight is None:
            node = self.memory.nodes.get(order.key)
            flight = self._filler.start(order, None if node is None else _seen(node), forced=True)
        return await self._wait(order, flight, None)

    def _refresh_behind(self, order: Order, seen: Seen | None) -> None:
        """Load in the background; one failure is as good as another there, events tell of it."""
        if order.key not in self.shared.flights:
            order.meter.refreshes += 1
            self._filler.start(order, seen, detached=True)

    async def _load(self, order: Order, seen: Seen | None) -> Any:
        flights = self.shared.flights
        flight: Flight[Answer] | None = flights.get(order.key)
        if flight is None and self.shared.available:
            found = await self._read(order)
            now = self._monotonic()
            if found is not None:
                if now < found.fresh_until:
                    self._count_remote(order)
                    return owned(found)
                if now < found.fresh_until + order.freshness.stale_while_revalidate:
                    order.meter.stale_hits += 1
                    self._refresh_behind(order, found)
                    return opened(found.value)
                seen = found
            elif (node := self.fresh(order.key)) is not None:
                # Somebody else's load ended while the tier was asked.
                node.hits += 1.0
                return opened(node.value)
            flight = flights.get(order.key)
        order.meter.misses += 1
        if flight is None:
            if seen is not None and seen.fresh_until <= self._monotonic():
                order.meter.expired += 1
            flight = self._filler.start(order, seen)
        else:
            order.meter.waits += 1
        return await self._wait(order, flight, seen)

    async def _wait(self, order: Order, flight: Flight[Answer], seen: Seen | None) -> Any:
        if flight.needs_caller():
            raise circular(order.key)
        freshness = order.freshness
        usable = seen is not None and self._monotonic() < seen.fresh_until + freshness.fail_safe
        soft = freshness.soft_timeout if usable else None
        if soft is not None:
            flight.detached = True
        timeout = deadline.bounded(soft, clock=self.clock)
        try:
            answer = await flight.join(timeout)
        except StillFlyingError:
            if seen is None or not usable:
                raise LoadTimeoutError(order.key, timeout or 0.0) from None
            order.meter.fail_safes += 1
            return opened(seen.value)
        return answer.take()

    async def _read(self, order: Order) -> Seen | None:
        """What the shared tier has under a key, kept in memory from now on."""
        if not self.shared.available:
            return None
        try:
            record, floor = await self.shared.read(order.key)
        except TierUnavailableError:
            self.shared.errors += 1
            return None
        return None if record is None else self.values.admit(order, record, floor)

    def _count_remote(self, order: Order) -> None:
        order.meter.remote_hits += 1
        if not self.memory.max_entries:
            self.memory.departed.add(order.key)  # no entry in memory will count its hits


def _seen(node: Node) -> Seen:
    return Seen(node.value, node.version, node.fresh_until, node.tags, node.validator)
