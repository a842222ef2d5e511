"""The cache's side of the shared tier: asks it while it answers, hears of changes, remembers what it has missed.

Everything here keeps one promise: memory never holds what is older than a change that this process could know of.

- Whoever reads or writes a key registers an `Interest`; a change heard meanwhile raises its floor, and what is
  older than the floor is not kept.
- A tag is invalidated by a version; what is not newer is void. So is everything, by the tag `*`.
- While changes go unheard, nothing in memory is trusted. What is done meanwhile goes into the journal, and is
  replayed, each change where nothing newer is there, before the tier is asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from seawall.cache import events as facts
from seawall.cache.collaborators import Breaker, Consistency, guarded
from seawall.cache.flight import Flight
from seawall.cache.journal import EVERYTHING, Journal, Recent, Versions
from seawall.cache.memory import MemoryTier
from seawall.cache.record import Record
from seawall.cache.tier import Change, Tier, TierUnavailableError
from seawall.core import Clock, Events

_logger = logging.getLogger("seawall.cache")
MOST_TAGS = 100_000
"""Invalidations remembered; beyond that they are forgotten and asked for anew."""
COMPARE_FOR = 0.1
"""Seconds for which two clocks that were compared are taken to run alike."""
RETRY_AFTER = 0.2
"""Seconds until a change that the tier refused is offered again."""


class Interest:
    """Somebody reads or writes a key; `floor` is the newest change heard meanwhile."""

    __slots__ = ("count", "floor")

    def __init__(self) -> None:
        self.count = 0
        self.floor = 0


class Shared:
    """What the cache knows of its tier and, through it, of other processes."""

    def __init__(
        self, name: str, memory: MemoryTier, tier: Tier | None, breaker: Breaker | None, events: Events, clock: Clock
    ) -> None:
        self.name = name
        self.memory = memory
        self.tier = tier
        self.events = events
        self.clock = clock
        self.versions = Versions()
        self.journal = Journal()
        self.flights: dict[str, Flight[Any]] = {}
        self.waiters: dict[str, set[asyncio.Future[str | None]]] = {}
        self.errors = 0
        self.available = False
        """Whether the tier can be asked: it is there, and has been told all that was done without it."""
        self._breaker = breaker
        self._interests: dict[str, Interest] = {}
        self._invalidations: dict[str, int] = {}
        self.transitions = 0
        """How often the tier went or came: what was begun before and ends after may have missed a change."""
        self._compared = -COMPARE_FOR
        self._behind = 0.0
        self._trusted_before = 0
        self._gap = False
        self.consistency: Consistency | None = None
        self._announced: str | None = None
        self._recent = Recent()
        self._away_since: float | None = None
        self._returning: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._awaiting: set[asyncio.Future[None]] = set()
        if tier is not None:
            tier.attach(self)

    def asking(self) -> AbstractContextManager[Tier]:
        """A block in which the tier is asked. Raises `TierUnavailableError` where that is pointless."""
        tier = self.tier
        if tier is None or not self.available:
            raise TierUnavailableError
        return self._asking(tier)

    def _asking(self, tier: Tier) -> AbstractContextManager[Tier]:
        return nullcontext(tier) if self._breaker is None else guarded(self._breaker, tier)

    def next_version(self) -> int:
        """The version of something that happens now and that no tier numbers."""
        if self.tier is None:
            # Nobody compares it with another process's, so it may be any clock that grows.
            return self.versions.next(self.clock.monotonic())
        return self.versions.next(self.tier.clock())

    def now(self) -> float:
        """Seconds since 1970 by the tier's clock."""
        return self.clock.now().timestamp() if self.tier is None else self.tier.clock()

    def behind(self, now: float) -> float:
        """What to add to the tier's clock for this process's monotonic one, which reads `now`."""
        if not 0.0 <= now - self._compared < COMPARE_FOR:
            self._compared = now
            self._behind = now - self.now()
        return self._behind

    @contextmanager
    def interest(self, key: str) -> Iterator[Interest]:
        """Hear of changes of `key` in this block."""
        interest = self._interests.get(key)
        if interest is None:
            interest = self._interests[key] = Interest()
        interest.count += 1
        try:
            yield interest
        finally:
            interest.count -= 1
            if not interest.count:
                del self._interests[key]

    async def read(self, key: str) -> tuple[Record | None, int]:
        """The record of `key` in the tier, and the newest change of it heard meanwhile."""
        tier = self.tier
        if tier is None or not self.available:
            raise TierUnavailableError
        interest = self._interests.get(key)
        if interest is None:
            interest = self._interests[key] = Interest()
        interest.count += 1
        try:
            if self._breaker is None:
                record = await tier.get(key)
            else:
                with guarded(self._breaker, tier):
                    record = await tier.get(key)
            if record is None:
                return None, 0
            if EVERYTHING not in self._invalidations or (record.tags and not self.knows(record.tags)):
                await self.learn(tier, record.tags)
            return record, interest.floor
        finally:
            interest.count -= 1
            if not interest.count:
                del self._interests[key]

    def knows(self, tags: Iterable[str]) -> bool:
        """Whether the last invalidations of `tags`, and of everything, are known here."""
        known = self._invalidations
        return EVERYTHING in known and all(tag in known for tag in tags)

    async def learn(self, tier: Tier, tags: Iterable[str]) -> None:
        """Ask `tier` for the last invalidations of `tags`."""
        if len(self._invalidations) > MOST_TAGS:
            self._forget(self.versions.last)
        asked = [tag for tag in (EVERYTHING, *tags) if tag not in self._invalidations]
        for tag, version in zip(asked, await tier.invalidations(asked), strict=True):
            self._invalidations[tag] = max(version, self._invalidations.get(tag, 0))

    def _forget(self, version: int) -> None:
        """Forget the invalidations; what loads now may have been void by one of them, and is not kept."""
        self._invalidations.clear()
        self.transitions += 1
        if self.tier is None:  # which could be asked for them
            self._invalidations[EVERYTHING] = version

    def is_void(self, tags: Iterable[str], version: int) -> bool:
        """Whether what carries `tags` and has `version` was invalidated since."""
        known = self._invalidations
        if version <= known.get(EVERYTHING, 0):
            return True
        return bool(tags) and any(version <= known.get(tag, 0) for tag in tags)

    def supersede(self, key: str, version: int) -> None:
        """`key` was changed as `version`: what is older must not be kept, and nobody joins a load of it any more."""
        self.versions.saw(version)
        interest = self._interests.get(key)
        if interest is not None:
            interest.floor = max(interest.floor, version)
        flight = self.flights.get(key)
        if flight is not None and flight.version is not None and flight.version < version:
            flight.floor = version
            del self.flights[key]

    def void(self, tag: str, version: int) -> None:
        """What carries `tag` and is not newer than `version` is void."""
        self.versions.saw(version)
        if len(self._invalidations) > MOST_TAGS:
            self._forget(version)
        self._invalidations[tag] = max(version, self._invalidations.get(tag, 0))
        if tag == EVERYTHING:
            self.memory.clear(version)
        else:
            self.memory.drop_tag(tag, version)
        # Loads under way may carry the tag; whoever asks from now on must not get what they bring.
        for key, flight in list(self.flights.items()):
            if flight.version is not None and flight.version <= version:
                del self.flights[key]

    # What other processes do.

    def changed(self, key: str, version: int) -> None:
        """See `Listener`."""
        self.memory.drop(key, version)
        self.supersede(key, version)
        self._wake(key, None)

    def invalidated(self, tag: str, version: int) -> None:
        """See `Listener`."""
        self.void(tag, version)

    def announced(self, text: str) -> None:
        """See `Listener`."""
        if self.consistency is not None:
            self.consistency.heard(text)

    async def settled(self, seconds: float) -> None:
        """Wait until the tier can be asked, `seconds` at most: most of the time it is only late."""
        if self.available or self.tier is None:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaiting.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=seconds)
        finally:
            self._awaiting.discard(waiter)

    def released(self, key: str, failed: str | None) -> None:
        """See `Listener`."""
        self._wake(key, failed)

    def _wake(self, key: str, failed: str | None) -> None:
        for waiter in self.waiters.pop(key, ()):
            if not waiter.done():
                waiter.set_result(failed)

    # The tier goes and comes.

    def lost(self) -> None:
        """See `Listener`."""
        self.available = False
        self.transitions += 1
        self._end_return()
        if self._away_since is None:
            self._away_since = self.clock.monotonic()
            self._trusted_before = self.memory.distrust()
            tier = "" if self.tier is None else self.tier.name
            _logger.warning("cache %s: %s is away; memory serves", self.name, tier)
            if self.events.listeners:
                self.events.emit(facts.CacheTierLost(cache=self.name, tier=tier))
        for key in list(self.waiters):
            self._wake(key, None)

    def back(self, *, gapless: bool, wiped: bool) -> None:
        """See `Listener`."""
        self._gap = self._gap or not gapless
        if wiped:
            # What others did not hear of while they were away, the server can't tell them any more.
            self.journal.put_back(self._recent.changes(self.clock.monotonic()))
        self._end_return()
        if len(self.journal):
            self._returning = asyncio.get_running_loop().create_task(self._return())
        else:
            self._returned(replayed=0)

    def _end_return(self) -> None:
        """One that has just replayed everything would take the tier for one that is there."""
        if self._returning is not None:
            self._returning.cancel()
            self._returning = None

    async def _return(self) -> None:
        """Replay the journal first."""
        replayed = 0
        this = asyncio.current_task()
        try:
            while self.tier is not None and len(self.journal):
                changes = self.journal.take()
                if self._announced is not None:
                    self.tier.announce(self._announced)
                try:
                    await self.tier.replay(changes)
                except BaseException:
                    self.journal.put_back(changes)
                    raise
                replayed += len(changes)
                now = self.clock.monotonic()
                for change in changes:
                    self._recent.add(now, change.version, key=change.key, tag=change.tag)
        except Exception as error:
            if not isinstance(error, TierUnavailableError):
                _logger.exception("cache %s: the journal can't be replayed; all is void in its place", self.name)
                self.journal.take()
                self.journal.add(Change(self.next_version(), tag=EVERYTHING))
            self._returning = None if self._returning is this else self._returning
            self._replay_later()
            return
        finally:
            if self._returning is this:
                self._returning = None
        self._returned(replayed=replayed)

    def _returned(self, *, replayed: int) -> None:
        """Ask and trust the tier again."""
        self.available = True
        self.transitions += 1
        for waiter in self._awaiting:
            if not waiter.done():
                waiter.set_result(None)
        tier = "" if self.tier is None else self.tier.name
        away, self._away_since = self._away_since, None
        if self._gap:
            self._gap = False
            self.memory.distrust()
            self._invalidations.clear()
            if self.consistency is not None:
                self.consistency.heard(None)
        elif away is not None:
            self.memory.trust(self._trusted_before)
        if away is not None:
            seconds = self.clock.monotonic() - away
            _logger.warning("cache %s: %s is back after %.1f s", self.name, tier, seconds)
            if self.events.listeners:
                self.events.emit(
                    facts.CacheTierReturned(cache=self.name, tier=tier, seconds=seconds, replayed=replayed)
                )

    async def stop(self) -> None:
        """End what runs behind the callers' backs."""
        self.available = False
        tasks = [task for flight in self.flights.values() if (task := flight.cancel()) is not None]
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._returning is not None:
            self._returning.cancel()
            tasks.append(self._returning)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def change(
        self,
        ask: Callable[[Tier], Awaitable[int]],
        *,
        key: str | None = None,
        tag: str | None = None,
        record: Record | None = None,
        keep: float = 0.0,
        version: int | None = None,
    ) -> int:
        """Have the tier make a change, or make it here and put it into the journal; the change's version.

        version: in the journal, in place of one of now; for a change that holds only where nothing newer is there.
        """
        if self.consistency is not None and (position := self.consistency.written()) is not None:
            self._announced = position
            self.consistency.heard(position)
            if self.tier is not None and self.available:
                self.tier.announce(position)
        # Taken before the tier is asked, so that a change which it made after all is not made again over later ones.
        version = self.next_version() if version is None else version
        if self.tier is None:
            return version
        # While the journal is replayed, what is new need not go through it: versions keep the order.
        if self.available or self._returning is not None:
            try:
                with self._asking(self.tier) as tier:
                    made = await ask(tier)
            except TierUnavailableError:
                self.errors += 1
            else:
                self.versions.saw(made)
                self._recent.add(self.clock.monotonic(), made, key=key, tag=tag)
                return made
        record = None if record is None else record._replace(version=version)
        self.journal.add(Change(version, key=key, tag=tag, record=record, keep=keep))
        self.available = False
        self._replay_later()
        return version

    def _replay_later(self) -> None:
        """A tier that is there and refused a change is told it again; one that is away says when it is back."""
        if self._retry is None and self._returning is None:
            self._retry = asyncio.get_running_loop().call_later(RETRY_AFTER, self._replay_now)

    def _replay_now(self) -> None:
        self._retry = None
        if self.tier is not None and self.tier.available and self._returning is None:
            self._returning = asyncio.get_running_loop().create_task(self._return())
