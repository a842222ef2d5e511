"""Replacing a value by what is made of it, unless somebody else has changed it meanwhile: compare and exchange.

A record's version is what is compared: the new one is the old one plus one, and the tier takes it only where nothing
newer stands, not even the tombstone of a delete. So what is deleted or invalidated can't come back by a late write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seawall.cache.errors import ValueTooLargeError
from seawall.cache.fill import Order
from seawall.cache.loading import MISSING
from seawall.cache.record import DELETED, Record
from seawall.cache.tier import Tier, TierUnavailableError
from seawall.cache.values import Seen, opened

if TYPE_CHECKING:
    from seawall.cache.cache import Cache

TRIES = 100
"""How often others may be faster. Each time one of them succeeds, so only a crowd comes near it."""
TOMBSTONE = 300.0
"""Seconds for which a deleted key remembers when it was deleted."""

NOBODY = "nobody"
"""The token of a lease that no one has."""

Edit = Callable[[Any], tuple[Any, float] | None]
"""From a value to the new one, and for how many seconds it is kept; `MISSING` deletes it. None leaves it as it is."""


async def update(cache: Cache, order: Order, edit: Edit) -> Seen | None:
    """Replace the value of `order.key` by `edit` of it; what was replaced, None where there was nothing fresh.

    `edit` gets a copy of its own, and is called again when somebody else was faster. While the shared tier is away,
    memory is what it holds against; when the tier is back, what others did there wins.

    Raises `UnserializableError` and `ValueTooLargeError`; then the former value stays.
    """
    for _ in range(TRIES):
        seen = await _current(cache, order)
        if seen is None:
            return None
        edited = edit(opened(seen.value))
        if edited is None or await _exchange(cache, order, seen, *edited):
            return seen
    return None


async def _current(cache: Cache, order: Order) -> Seen | None:
    """What is under a key by the word of the shared tier; by memory's while that is away."""
    memory, shared = cache.memory, cache.shared
    now = cache.clock.monotonic
    for _ in range(TRIES):
        try:
            record, floor = await shared.read(order.key)
        except TierUnavailableError:
            node = memory.nodes.get(order.key)
            if node is None or node.fresh_until <= now():
                return None
            return Seen(node.value, node.version, node.fresh_until, node.tags, node.validator)
        if record is None:
            return None
        if record.version >= floor:
            seen = cache.values.admit(order, record, floor)
            return seen if seen is not None and now() < seen.fresh_until else None
    return None


async def _exchange(cache: Cache, order: Order, seen: Seen, value: Any, ttl: float) -> bool:
    memory, shared, values = cache.memory, cache.shared, cache.values
    key, version = order.key, seen.version + 1
    if value is MISSING:
        kept, lifetime, keep, size = None, 0.0, TOMBSTONE, 0
        record = Record(DELETED, version, 0.0, 0.0, 0.0, b"\0" * 8, (), None, b"", b"")
    else:
        kept = values.kept(key, value, order.type, encode=shared.tier is not None)
        size = values.size(kept)
        if values.too_large(key, kept) is not None:
            order.meter.refused += 1
            raise ValueTooLargeError(key, size, values.max_value_bytes)
        order.meter.writes += 1
        lifetime = order.freshness.lifetime(ttl)
        keep = lifetime + order.freshness.retention
        record = values.record(key, kept, version, lifetime, order.freshness, seen.tags, None)

    async def ask(tier: Tier) -> int:
        return version if await tier.fill(key, record, keep=keep, token=NOBODY) else 0

    with shared.interest(key) as interest:
        if shared.tier is not None:
            # Away, it goes into the journal with this version, so that on its return it loses to what others did.
            offline = None if kept is None else record
            made = await shared.change(ask, key=key, record=offline, keep=keep, version=version)
            if not made:
                return False
        overtaken = interest.floor > version or shared.is_void(seen.tags, version)
    shared.supersede(key, version)
    if kept is None:
        memory.drop(key, version)
    elif not overtaken:
        now = cache.clock.monotonic()
        memory.put(
            key,
            kept.value,
            version=version,
            stored=now,
            fresh_until=now + lifetime,
            freshness=order.freshness,
            meter=order.meter,
            tags=seen.tags,
            size=size,
        )
    return True
