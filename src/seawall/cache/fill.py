"""How a key is filled: one lease among processes, one load, and what happens when it fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from seawall.cache import events as facts
from seawall.cache.errors import LoadFailedError, LoadTimeoutError, UnserializableError
from seawall.cache.flight import Flight
from seawall.cache.freshness import Freshness
from seawall.cache.given import tags_of
from seawall.cache.loading import MISSING, Load, Loader, run
from seawall.cache.memory import MemoryTier
from seawall.cache.meter import Meter
from seawall.cache.node import Raised
from seawall.cache.record import NEWEST
from seawall.cache.shared import Interest, Shared
from seawall.cache.tier import Granted, Held, Tier, TierUnavailableError
from seawall.cache.values import Seen, Values, opened, same
from seawall.core.options import number

GRACE = 0.5
"""Seconds for which who waits for another process's load waits for the tier too, before he loads himself."""
LEASE = 3.0
"""Seconds a lease lasts. It is renewed while the load goes on; when its process dies, another one loads after this."""


@dataclass(slots=True)
class Order:
    """What a caller asks for: the key, how to load it, and how to keep it."""

    key: str
    loader: Loader
    freshness: Freshness
    meter: Meter
    type: Any = None
    ttl: float | None = None
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Answer:
    """What a flight brings: the loaded object for the first who takes it, copies for the others."""

    kept: Any
    original: Any = field(default=MISSING)

    def take(self) -> Any:
        """The value; the caller's own if it can be changed. Raises the error it stands for."""
        if self.original is not MISSING:
            original, self.original = self.original, MISSING
            return original
        return opened(self.kept)


class Filler:
    """Fills keys of one cache."""

    def __init__(self, name: str, memory: MemoryTier, shared: Shared, values: Values) -> None:
        self.name = name
        self.memory = memory
        self.shared = shared
        self.values = values
        self.clock: Callable[[], float] = memory.clock.monotonic

    def start(self, order: Order, seen: Seen | None, *, detached: bool = False, forced: bool = False) -> Flight[Answer]:
        """The flight that loads `order.key`; whoever asks for the key meanwhile joins it.

        detached: nobody need wait for it. forced: load also if another process has loaded just now.
        """
        flights = self.shared.flights
        flight = flights[order.key] = Flight(detached=detached)
        flight.began = self.shared.transitions

        def done() -> None:
            if flights.get(order.key) is flight:
                del flights[order.key]

        flight.start(lambda: self._fill(order, seen, flight, forced=forced), done)
        return flight

    async def _fill(self, order: Order, seen: Seen | None, flight: Flight[Answer], *, forced: bool) -> Answer:
        token = os.urandom(8).hex()
        tier = self.shared.tier
        leased = lost = False
        if tier is not None and self.shared.available:
            try:
                found = await self._lease(tier, order, seen, flight, token, forced=forced)
            except TierUnavailableError:
                lost = True  # the server may have granted it nevertheless
            except LoadFailedError as error:
                return self._fall_back(order, seen, flight, error)
            except asyncio.CancelledError:
                # The server may have granted it nevertheless.
                await self._release(tier, order.key, token, None)
                raise
            else:
                if isinstance(found, Seen):
                    return Answer(found.value)
                leased = True
        if flight.version is None:
            flight.version = self.shared.next_version()
        try:
            # Not by the flight alone: nobody finds that any more once some tag was invalidated.
            with self._kept(tier if leased else None, order.key, token), self.shared.interest(order.key) as interest:
                return await self._load(order, seen, flight, interest, token if leased else None)
        except BaseException as error:
            if leased and tier is not None:
                failed = None if isinstance(error, asyncio.CancelledError) else type(error).__name__
                await self._release(tier, order.key, token, failed)
            if not isinstance(error, Exception):
                raise
            return self._fall_back(order, seen, flight, error)
        finally:
            if lost and tier is not None and self.shared.available:
                await self._release(tier, order.key, token, None)

    async def _lease(
        self, tier: Tier, order: Order, seen: Seen | None, flight: Flight[Answer], token: str, *, forced: bool
    ) -> Seen | None:
        """Wait until the lease is ours (None), or somebody else has loaded."""
        # Whoever has seen the newest there can be takes no record for an answer.
        version = NEWEST if forced else 0 if seen is None else seen.version
        held = False
        while True:
            # Waiting begins before the question, so that no news is missed between its answer and the wait.
            waiter: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            self.shared.waiters.setdefault(order.key, set()).add(waiter)
            try:
                with self.shared.interest(order.key) as interest, self.shared.asking():
                    lease = await tier.acquire(order.key, seen=version, token=token, seconds=LEASE)
                    if isinstance(lease, Granted):
                        flight.version = lease.version
                        flight.began = self.shared.transitions
                        self.shared.versions.saw(lease.version)
                        return None
                    if not isinstance(lease, Held):
                        version = lease.version
                        if not self.shared.knows(lease.tags):
                            await self.shared.learn(tier, lease.tags)
                        found = self.values.admit(order, lease, interest.floor)
                        if found is not None and found.fresh_until > self.clock():
                            return found
                        continue
                held = True
                done, _ = await asyncio.wait((waiter,), timeout=lease.seconds)
                if done and (failed := waiter.result()) is not None:
                    raise LoadFailedError(order.key, failed)
                await self.shared.settled(GRACE)
            except TierUnavailableError:
                # Where somebody else loads, the tier may be back before he has loaded: mostly it is only late. One
                # that refuses twice in a row is not, whatever it says of itself.
                if held:
                    await self.shared.settled(GRACE)
                if not held or not self.shared.available:
                    raise
                held = False
            finally:
                if (waiting := self.shared.waiters.get(order.key)) is not None:
                    waiting.discard(waiter)
                    if not waiting:
                        del self.shared.waiters[order.key]

    @contextmanager
    def _kept(self, tier: Tier | None, key: str, token: str) -> Iterator[None]:
        """Renew the lease for as long as the block takes."""
        if tier is None:
            yield
            return

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE / 3)
                try:
                    if not await tier.renew(key, token=token, seconds=LEASE):
                        return
                except TierUnavailableError:
                    continue

        keeper = asyncio.get_running_loop().create_task(renew())
        try:
            yield
        finally:
            keeper.cancel()

    async def _release(self, tier: Tier, key: str, token: str, failed: str | None) -> None:
        try:
            # Also when this task was cancelled: others wait for it.
            await asyncio.shield(asyncio.ensure_future(tier.release(key, token=token, failed=failed)))
        except TierUnavailableError:
            return

    async def _load(
        self, order: Order, seen: Seen | None, flight: Flight[Answer], interest: Interest, token: str | None
    ) -> Answer:
        stale = MISSING if seen is None or isinstance(seen.value, Raised) else opened(seen.value)
        load = Load(order.key, stale, None if seen is None else seen.validator)
        started = self.clock()
        order.meter.loads += 1
        try:
            value = await self._call(order, load)
        except Exception as error:
            if not isinstance(error, order.freshness.negative_errors):
                raise
            value = Raised(error)
        seconds = self.clock() - started
        order.meter.load_times.add(seconds)
        if self.shared.events.listeners:
            self.shared.events.emit(
                facts.CacheLoaded(cache=self.name, key=order.key, category=order.meter.category, seconds=seconds)
            )
        return await self._keep(order, load, value, seen, flight, interest, token)

    async def _call(self, order: Order, load: Load) -> Any:
        timeout = order.freshness.hard_timeout
        limit = asyncio.timeout(timeout)
        task = asyncio.current_task()
        try:
            async with limit:
                if self.shared.consistency is None:
                    return await run(order.loader, load)
                with self.shared.consistency.loading():
                    return await run(order.loader, load)
        except TimeoutError as error:
            if timeout is None or not limit.expired():
                raise
            raise LoadTimeoutError(order.key, timeout) from error
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise
            # The loader waited for something that was cancelled; nobody who waits for it was.
            raise LoadFailedError(order.key, "CancelledError") from error

    async def _keep(
        self,
        order: Order,
        load: Load,
        value: Any,
        seen: Seen | None,
        flight: Flight[Answer],
        interest: Interest,
        token: str | None,
    ) -> Answer:
        """Keep what was loaded in memory and in the tier, unless the key was changed meanwhile."""
        tier = self.shared.tier
        version = flight.version or 0
        freshness = order.freshness
        negative = (value is None or isinstance(value, Raised)) and freshness.negative_ttl is not None
        if load.ttl is not None:
            number("Load", "ttl", load.ttl)
        ttl = load.ttl if load.ttl is not None else freshness.negative_ttl if negative else order.ttl
        ttl = freshness.ttl if ttl is None else ttl
        lifetime = freshness.lifetime(ttl) if ttl > 0 else 0.0
        kept = self.values.kept(order.key, value, order.type, encode=tier is not None and token is not None)
        original = MISSING if isinstance(value, Raised) else value
        tags = tuple(dict.fromkeys((*order.tags, *tags_of("Load", load.tags)))) if load.tags else order.tags
        if seen is not None:
            order.meter.reloads += 1
            if same(seen.value, kept.value):
                order.meter.unchanged += 1
        too_large = self.values.too_large(order.key, kept)
        order.meter.refused += too_large is not None
        refused = "its time to live is 0" if lifetime <= 0 else too_large
        refused = refused or self._missed_something(flight)
        if refused is None and tier is not None and token is not None and kept.data is not None:
            record = self.values.record(order.key, kept, version, lifetime, freshness, tags, load.validator)
            try:
                with self.shared.asking():
                    stored = await tier.fill(order.key, record, keep=lifetime + freshness.retention, token=token)
                if not stored:
                    refused = "it was changed meanwhile"
            except TierUnavailableError:
                self.shared.errors += 1
            token = None
        if token is not None and tier is not None:
            await self._release(tier, order.key, token, None)
        if refused is None and (version < max(flight.floor, interest.floor) or self.shared.is_void(tags, version)):
            refused = "it was changed meanwhile"
        refused = refused or self._missed_something(flight)
        if refused is not None:
            if self.shared.events.listeners:
                self.shared.events.emit(facts.CacheRefused(cache=self.name, key=order.key, reason=refused))
            return Answer(kept.value, original)
        now = self.clock()
        self.memory.put(
            order.key,
            kept.value,
            version=version,
            stored=now,
            fresh_until=now + lifetime,
            freshness=freshness,
            meter=order.meter,
            tags=tags,
            validator=load.validator,
            size=self.values.size(kept),
        )
        return Answer(kept.value, original)

    def _missed_something(self, flight: Flight[Answer]) -> str | None:
        """Why what was loaded can't be kept, if the tier was away meanwhile: changes made then went unheard."""
        if flight.began == self.shared.transitions or not self.shared.available:
            return None  # while it is away, memory keeps it, and distrusts it when the tier is back
        return "the shared tier was away meanwhile"

    def _fall_back(self, order: Order, seen: Seen | None, flight: Flight[Answer], error: Exception) -> Answer:
        """The stale answer in place of `error`, if there is one that may stand in. It does for a while."""
        order.meter.failed += 1
        now = self.clock()
        usable = seen is not None and now < seen.fresh_until + order.freshness.fail_safe
        usable = usable and not isinstance(error, UnserializableError)
        if self.shared.events.listeners:
            self.shared.events.emit(
                facts.CacheLoadFailed(
                    cache=self.name, key=order.key, category=order.meter.category, error=error, stale=usable
                )
            )
        if seen is None or not usable:
            raise error
        order.meter.fail_safes += 1
        version = flight.version if flight.version is not None else seen.version
        if version >= flight.floor and not self.shared.is_void(seen.tags, seen.version):
            self.memory.rest(order.key, now + order.freshness.fail_safe_for)
        return Answer(seen.value)
