"""A shared tier without a server: several caches of one test share a `Store`, each through a line that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

from seawall.cache.record import DELETED, Record
from seawall.cache.tier import Change, Granted, Held, Lease, Listener, TierUnavailableError
from seawall.core import SYSTEM_CLOCK, Clock, Health, Status

News = Callable[[Listener], object]


class Store:
    """What a server would hold. Every change is told to all lines that are up, `delay` seconds later."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, delay: float = 0.0) -> None:
        self.clock = clock
        self.delay = delay
        self.records: dict[str, tuple[Record, float]] = {}
        self.tags: dict[str, int] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.lines: list[StoreTier] = []
        self.last = 0
        self.wipes = 0

    def wipe(self) -> None:
        """Lose everything, as a server that is started again."""
        self.wipes += 1
        for held in (self.records, self.tags, self.leases):
            held.clear()

    def version(self) -> int:
        """Microseconds since 1970, each greater than the last."""
        self.last = max(int(self.clock.now().timestamp() * 1e6), self.last + 1)
        return self.last

    def record(self, key: str) -> Record | None:
        """What stands under `key`, also a tombstone."""
        record, until = self.records.get(key, (None, 0.0))
        if record is None or until <= self.clock.monotonic():
            self.records.pop(key, None)
            return None
        return record

    def put(self, key: str, record: Record, keep: float) -> None:
        """Put `record` in place and tell everybody."""
        self.records[key] = (record, self.clock.monotonic() + keep)
        self.leases.pop(key, None)
        self.tell(lambda listener: listener.changed(key, record.version))

    def tell(self, news: News) -> None:
        """Give `news` to every line."""
        for line in self.lines:
            line.hear(news)


TOMBSTONE = 300.0


class StoreTier:
    """A line to a `Store`. `cut()` it and everything fails; `mend()` it and what was missed is not made up for.

    latency: seconds until a call reaches the store. reply_latency: seconds until what was read is here.
    """

    def __init__(self, store: Store, *, name: str = "store") -> None:
        self.store = store
        self.name = name
        self.available = False
        self.calls = 0
        self.latency = 0.0
        self.reply_latency = 0.0
        self._listeners: list[Listener] = []
        self._wipes: int | None = None

    def clock(self) -> float:
        """The store's time of day."""
        return self.store.clock.now().timestamp()

    def attach(self, listener: Listener) -> None:
        """Tell `listener` of changes from now on."""
        self._listeners.append(listener)

    async def __aenter__(self) -> Self:
        self.mend()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.available = False
        if self in self.store.lines:
            self.store.lines.remove(self)

    async def check(self) -> Health:
        """Whether the line is up."""
        return Health(status=Status.HEALTHY if self.available else Status.UNHEALTHY)

    def cut(self) -> None:
        """From now on nothing gets through."""
        self.store.lines.remove(self)
        self.available = False
        for listener in self._listeners:
            listener.lost()

    def mend(self, *, gapless: bool = False) -> None:
        """Let everything through again. gapless: as if all that was missed had been told by now."""
        wiped = self._wipes not in {None, self.store.wipes}
        self._wipes = self.store.wipes
        self.store.lines.append(self)
        self.available = True
        for listener in self._listeners:
            listener.back(gapless=gapless, wiped=wiped)

    def hear(self, news: News) -> None:
        """What the store tells, after its delay."""

        def tell() -> None:
            if self.available:
                for listener in self._listeners:
                    news(listener)

        if self.store.delay:
            asyncio.get_running_loop().call_later(self.store.delay, tell)
        else:
            asyncio.get_running_loop().call_soon(tell)

    async def _ask(self) -> Store:
        if not self.available:
            raise TierUnavailableError
        self.calls += 1
        await asyncio.sleep(self.latency)
        if not self.available:
            raise TierUnavailableError
        return self.store

    async def get(self, key: str) -> Record | None:
        """See `Tier`."""
        record = (await self._ask()).record(key)
        if self.reply_latency:
            await asyncio.sleep(self.reply_latency)
        return None if record is None or record.kind == DELETED else record

    async def get_many(self, keys: Sequence[str]) -> list[Record | None]:
        """See `Tier`."""
        return [await self.get(key) for key in keys]

    async def write(self, key: str, record: Record, *, keep: float) -> int:
        """See `Tier`."""
        store = await self._ask()
        old = store.record(key)
        version = max(store.version(), 0 if old is None else old.version + 1)
        store.put(key, record._replace(version=version), keep)
        return version

    async def fill(self, key: str, record: Record, *, keep: float, token: str) -> bool:
        """See `Tier`."""
        store = await self._ask()
        old = store.record(key)
        if store.leases.get(key, ("", 0.0))[0] == token:
            del store.leases[key]
        if old is not None and old.version >= record.version:
            return False
        store.put(key, record, keep)
        return True

    async def delete(self, key: str) -> int:
        """See `Tier`."""
        return await self.write(key, _tombstone(0), keep=TOMBSTONE)

    async def invalidate(self, tag: str) -> int:
        """See `Tier`."""
        store = await self._ask()
        version = store.tags[tag] = max(store.version(), store.tags.get(tag, 0) + 1)
        store.tell(lambda listener: listener.invalidated(tag, version))
        return version

    async def invalidations(self, tags: Sequence[str]) -> list[int]:
        """See `Tier`."""
        store = await self._ask()
        return [store.tags.get(tag, 0) for tag in tags]

    async def acquire(self, key: str, *, seen: int, token: str, seconds: float) -> Lease:
        """See `Tier`."""
        store = await self._ask()
        old = store.record(key)
        if old is not None and old.kind != DELETED and old.version > seen:
            return old
        now = store.clock.monotonic()
        holder, until = store.leases.get(key, ("", 0.0))
        if until > now and holder != token:
            return Held(until - now)
        store.leases[key] = (token, now + seconds)
        return Granted(max(store.version(), 0 if old is None else old.version + 1))

    async def renew(self, key: str, *, token: str, seconds: float) -> bool:
        """See `Tier`."""
        store = await self._ask()
        if store.leases.get(key, ("", 0.0))[0] != token:
            return False
        store.leases[key] = (token, store.clock.monotonic() + seconds)
        return True

    async def release(self, key: str, *, token: str, failed: str | None = None) -> None:
        """See `Tier`."""
        store = await self._ask()
        if store.leases.get(key, ("", 0.0))[0] == token:
            del store.leases[key]
            store.tell(lambda listener: listener.released(key, failed))

    def announce(self, text: str) -> None:
        """See `Tier`."""
        if self.available:
            self.store.tell(lambda listener: listener.announced(text))

    async def replay(self, changes: Sequence[Change]) -> None:
        """See `Tier`."""
        for change in changes:
            store = await self._ask()
            if change.tag is not None:
                tag, version = change.tag, change.version
                if version > store.tags.get(tag, 0):
                    store.tags[tag] = version
                    store.tell(partial(_tell_invalidated, tag, version))
            elif change.key is not None:
                old = store.record(change.key)
                if old is None or old.version < change.version:
                    record = change.record or _tombstone(change.version)
                    store.put(change.key, record, change.keep if change.record else TOMBSTONE)


def _tombstone(version: int) -> Record:
    return Record(DELETED, version, 0.0, 0.0, 0.0, b"", (), None, b"", b"")


def _tell_invalidated(tag: str, version: int, listener: Listener) -> None:
    listener.invalidated(tag, version)
