"""The shared tier in Redis or Valkey: one connection, one script per change, and news of changes on the same wire."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from seawall.cache import record as records
from seawall.cache.errors import DecodeError
from seawall.cache.keys import storage_key
from seawall.cache.record import DELETED, Record
from seawall.cache.scripts import ACQUIRE, FILL, INVALIDATE, RELEASE, RENEW, REPLAY, WRITE
from seawall.cache.tier import Change, Granted, Held, Lease, Listener, TierUnavailableError
from seawall.core import Health, OptionError
from seawall.core.options import number
from seawall.redis import Redis, RedisError, RedisUnavailableError

_logger = logging.getLogger("seawall.cache")
REMEMBERED = 10_000
"""Keys whose bytes are remembered."""
SAME = 0.002
"""Seconds by which the server's clock may seem to differ from this machine's, for want of a better measure."""
TOMBSTONE = 300.0
"""Seconds for which a deleted key remembers when it was deleted."""
TAG = 40 * 86_400.0
"""Seconds for which an invalidated tag does; no entry is kept longer than `LONGEST`, so none outlives it."""
LONGEST = 30 * 86_400.0
ROOM = 100
"""Changes under way; more wait, lest the last of them be too late while nothing is wrong."""
PAUSES = (0.0, 0.005, 0.02)
"""Seconds after which a change is offered again that stood in a queue for too long."""


class RedisTier:
    """A cache's records in Redis or Valkey, 7 or newer.

        RedisTier("redis://127.0.0.1:6379/0", namespace="podcasts")

    redis: a URL, or a `Redis` (plain, Sentinel, cluster) that somebody else starts and stops. namespace, version:
    what the keys begin with; another version of a service whose values differ starts anew. backlog: how many changes
    the server keeps in a stream, so that a process whose connection broke for a moment can make up for what it
    missed and go on trusting its memory; 0 keeps none. Not with a cluster. timeout: seconds until the server's
    silence means that it is away; a `Redis` brings its own.

    Versions are the server's clock in microseconds. A read is a plain GET, all reads of one tick of the event loop
    one round trip.
    """

    def __init__(
        self,
        redis: Redis | str = "redis://127.0.0.1:6379/0",
        *,
        namespace: str = "seawall",
        version: str | int = 1,
        backlog: int = 0,
        timeout: float = 0.04,
        name: str = "redis",
    ) -> None:
        number("RedisTier", "backlog", backlog, at_least=0, integer=True)
        self.name = name
        self.redis = Redis(redis, name=name, timeout=timeout) if isinstance(redis, str) else redis
        if backlog and self.redis.sharded:
            # A script that changes a key could not write to the stream, which is on another node.
            raise OptionError("RedisTier", "backlog", backlog, "0 with a cluster")
        self._owned = isinstance(redis, str)
        self._namespace = namespace
        self._version = version
        self._backlog = b"%d" % backlog
        self._channel = f"{namespace}:v{version}:news".encode()
        self._stream = self._channel + b":log"
        self._marker = self._channel + b":marker"
        self._stored: dict[str, bytes] = {}
        self._last_id = b""
        self._marked: bytes | None = None
        self._generation = -1
        self._listeners: list[Listener] = []
        self._leave: list[Any] = []
        self._up = False
        self._catching_up: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(ROOM)

    @property
    def available(self) -> bool:
        """Whether the server is connected."""
        return self._up

    def clock(self) -> float:
        """The server's clock, as far as it is known, else this machine's."""
        local = time.time()
        server = self.redis.server_time()
        # Clocks that are the same as nearly as can be told are the same: then all processes of a machine agree exactly.
        return local if server is None or abs(server - local) < SAME else server

    def attach(self, listener: Listener) -> None:
        """Tell `listener` of changes from now on."""
        self._listeners.append(listener)

    async def __aenter__(self) -> Self:
        self._room = asyncio.Semaphore(ROOM)
        self._leave = [
            self.redis.subscribe(self._channel.decode(), self._heard),
            self.redis.watch(self._is_up, self._is_down),
        ]
        if self._owned:
            await self.redis.__aenter__()
        if self.redis.connected and self._catching_up is None:
            self._is_up()
        if self._catching_up is not None:
            await asyncio.wait((self._catching_up,))
        if not self._up:
            for listener in self._listeners:
                listener.lost()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for leave in self._leave:
            leave()
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._up = False
        if self._owned:
            await self.redis.__aexit__(None, None, None)

    async def check(self) -> Health:
        """The connection's health."""
        health: Health = await self.redis.check()
        return health

    def _key(self, key: str) -> bytes:
        stored = self._stored.get(key)
        if stored is None:
            if len(self._stored) >= REMEMBERED:
                self._stored.clear()
            stored = self._stored[key] = storage_key(self._namespace, self._version, key)
        return stored

    def _keys(self, key: str) -> tuple[bytes, bytes, bytes]:
        stored = self._key(key)
        return stored, stored + b":lease", self._log_beside(stored)

    def _log_beside(self, stored: bytes) -> bytes:
        """The stream; where there is none, a key that is on the same node of a cluster."""
        return stored if self._backlog == b"0" else self._stream

    def _tag(self, tag: str) -> bytes:
        return storage_key(f"{self._namespace}~tag", self._version, tag)

    # Reading.

    async def get(self, key: str) -> Record | None:
        """See `Tier`."""
        try:
            raw = await self.redis.get(self._key(key))
        except RedisError as error:
            raise TierUnavailableError from error
        return None if raw is None else _decoded(raw)

    async def get_many(self, keys: Sequence[str]) -> list[Record | None]:
        """See `Tier`."""
        return await asyncio.gather(*map(self.get, keys))

    async def invalidations(self, tags: Sequence[str]) -> list[int]:
        """See `Tier`."""
        try:
            found = await asyncio.gather(*(self.redis.get(self._tag(tag)) for tag in tags))
        except RedisError as error:
            raise TierUnavailableError from error
        versions = [int(raw) if raw is not None and raw.isdigit() else 0 for raw in found]
        return [version if version <= records.NEWEST else 0 for version in versions]

    # Changing.

    async def write(self, key: str, record: Record, *, keep: float) -> int:
        """See `Tier`."""
        return await self._write(key, record.kind, record.body(), keep)

    async def delete(self, key: str) -> int:
        """See `Tier`."""
        return await self._write(key, DELETED, b"", TOMBSTONE)

    async def _write(self, key: str, kind: bytes, body: bytes, keep: float) -> int:
        return await self._change(
            WRITE, self._keys(key), self._channel, self._backlog, _name(key), kind, body, _milliseconds(keep)
        )

    async def _change(self, script: Any, keys: Sequence[bytes], *args: Any) -> int:
        """The version of a change. One that the server came to too late was not made: it is asked for again."""
        async with self._room:
            for pause in PAUSES:
                version: int = await self._run(script, keys, *args, self._give_up())
                if version:
                    return version
                await asyncio.sleep(pause)
        raise TierUnavailableError

    def _give_up(self) -> int:
        """When this process gives a change up: made later, it would void what this one, or another, does then."""
        return int((self.clock() + self.redis.patience()) * 1e6)

    async def fill(self, key: str, record: Record, *, keep: float, token: str) -> bool:
        """See `Tier`."""
        return bool(
            await self._run(
                FILL, self._keys(key), self._channel, self._backlog, _name(key), b"%016d" % record.version,
                record.encode(), _milliseconds(keep), token,
            )
        )  # fmt: skip

    async def invalidate(self, tag: str) -> int:
        """See `Tier`."""
        return await self._invalidate(tag, 0)

    async def _invalidate(self, tag: str, version: int) -> int:
        stored = self._tag(tag)
        keys = (stored, self._log_beside(stored))
        return await self._change(INVALIDATE, keys, self._channel, self._backlog, _name(tag), version, int(TAG * 1000))

    def announce(self, text: str) -> None:
        """See `Tier`. With a cluster, changes may overtake it."""
        with suppress(RedisError):
            self.redis.execute("PUBLISH", self._channel, b" p%016d%b" % (0, _name(text)))

    async def replay(self, changes: Sequence[Change]) -> None:
        """See `Tier`."""
        await asyncio.gather(*map(self._replay, changes))

    async def _replay(self, change: Change) -> None:
        if change.tag is not None:
            await self._invalidate(change.tag, change.version)
        elif change.key is not None:
            tombstone = Record(DELETED, change.version, 0.0, 0.0, 0.0, b"\0" * 8, (), None, b"", b"").encode()[:21]
            record, keep = b"", 1
            if change.record is not None and (left := change.record.keep_until - self.clock()) > 0:
                record, keep = change.record.encode(), _milliseconds(min(left, change.keep))
            await self._run(
                REPLAY, self._keys(change.key), self._channel, self._backlog, _name(change.key),
                b"%016d" % change.version, record, keep, tombstone, _milliseconds(TOMBSTONE),
            )  # fmt: skip

    # Leases.

    async def acquire(self, key: str, *, seen: int, token: str, seconds: float) -> Lease:
        """See `Tier`."""
        found: Any = await self._run(ACQUIRE, self._keys(key)[:2], seen, token, _milliseconds(seconds))
        if isinstance(found, bytes):
            record = _decoded(found)
            # Bytes that are no record: as good as none, but seen.
            return Granted(self._after(found)) if record is None else record
        return Granted(found[0]) if len(found) == 1 else Held(max(found[0], 1) / 1000 + 0.005)

    def _after(self, raw: bytes) -> int:
        digits = raw[5:21]
        return max(int(self.clock() * 1e6), int(digits) + 1 if digits.isdigit() else 0)

    async def renew(self, key: str, *, token: str, seconds: float) -> bool:
        """See `Tier`."""
        return bool(await self._run(RENEW, self._keys(key)[1:2], token, _milliseconds(seconds)))

    async def release(self, key: str, *, token: str, failed: str | None = None) -> None:
        """See `Tier`."""
        news = b"r%016d%b\0%b" % (0, (failed or "").encode(), _name(key))
        await self._run(RELEASE, self._keys(key)[1:2], token, self._channel, news)

    async def _run(self, script: Any, keys: Sequence[bytes], *args: Any) -> Any:
        try:
            return await self.redis.run(script, keys, args)
        except RedisError as error:
            raise TierUnavailableError from error

    # News.

    def _heard(self, message: bytes) -> None:
        id_, _, news = message.partition(b" ")
        if id_:
            self._last_id = id_
        self._tell(news)

    def _tell(self, news: bytes) -> None:
        kind, version, name = news[:1], news[1:17], news[17:]
        if not version.isdigit():
            return  # somebody else publishes here
        for listener in self._listeners:
            if kind == b"c":
                listener.changed(_text(name), int(version))
            elif kind == b"t":
                listener.invalidated(_text(name), int(version))
            elif kind == b"p":
                listener.announced(_text(name))
            elif kind == b"r":
                failed, _, key = name.partition(b"\0")
                listener.released(_text(key), failed.decode() or None)

    def _is_down(self, error: Exception) -> None:
        self._up = False
        if self._catching_up is not None:
            self._catching_up.cancel()
            self._catching_up = None
        for listener in self._listeners:
            listener.lost()

    def _is_up(self) -> None:
        self._catching_up = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        """Find out what was missed, then tell everybody."""
        try:
            await self.redis.execute("SET", self._marker, os.urandom(8).hex(), "NX")
            marker = await self.redis.execute("GET", self._marker)
            gapless = False if self._backlog == b"0" else await self._catch_up()
        except RedisUnavailableError:
            return  # it has gone again
        except RedisError:
            _logger.exception("%s: the server refuses what the cache needs", self.name)
            marker, gapless = None, False
        unbroken = self._generation == self.redis.generation
        self._generation = self.redis.generation
        wiped = self._marked not in {None, marker}
        self._marked = marker
        self._up = True
        for listener in self._listeners:
            listener.back(gapless=(gapless or unbroken) and not wiped, wiped=wiped)

    async def _catch_up(self) -> bool:
        """Read from the stream what was published while nobody here listened; whether that is all of it."""
        after = self._last_id
        first = await self.redis.execute("XRANGE", self._stream, "-", "+", "COUNT", 1)
        last = await self.redis.execute("XREVRANGE", self._stream, "+", "-", "COUNT", 1)
        if not first or not last:
            return not after
        if not after:
            self._last_id = last[0][0]
            return False
        # What was cut off at the old end, or began anew at a younger one, has a gap.
        if not _id(first[0][0]) <= _id(after) <= _id(last[0][0]):
            self._last_id = last[0][0]
            return False
        for id_, fields in await self.redis.execute("XRANGE", self._stream, b"(" + after, "+"):
            self._last_id = max(self._last_id, id_, key=_id)
            self._tell(fields[1])
        return True


def _decoded(raw: bytes) -> Record | None:
    try:
        record = records.decode(raw)
    except DecodeError:
        return None
    return None if record.kind == DELETED else record


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _milliseconds(seconds: float) -> int:
    return max(1, int(min(seconds, LONGEST) * 1000))


def _id(raw: bytes) -> tuple[int, int]:
    milliseconds, _, count = raw.partition(b"-")
    return (int(milliseconds), int(count)) if milliseconds else (0, 0)
