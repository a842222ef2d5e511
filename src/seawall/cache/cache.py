"""The cache: memory in front, a shared tier behind, and one truth between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from seawall.cache import advice, analytics, blocking
from seawall.cache.advice import Recommendation
from seawall.cache.analytics import HOT_KEYS, CacheStatistics
from seawall.cache.codec import Codec
from seawall.cache.collaborators import Breaker, Consistency
from seawall.cache.decorator import CachedFunction, Caching, decorate
from seawall.cache.errors import ValueTooLargeError
from seawall.cache.fill import Filler, Order
from seawall.cache.freshness import Freshness
from seawall.cache.given import check_key, tags_of
from seawall.cache.journal import EVERYTHING
from seawall.cache.loading import Loader
from seawall.cache.memory import MemoryTier
from seawall.cache.meter import Meter
from seawall.cache.reader import Reader
from seawall.cache.shared import Shared
from seawall.cache.tier import Tier
from seawall.cache.values import Values, is_value, opened
from seawall.core import SYSTEM_CLOCK, Clock, Events, Health, Status
from seawall.core.errors import OptionError
from seawall.core.options import number

T = TypeVar("T")
D = TypeVar("D")
P = ParamSpec("P")
R = TypeVar("R")
MOST_METERS = 1_000
DEFAULT = "default"


class Cache:
    """Values by key, in memory, in a tier that processes share, or in both.

        cache = Cache(MemoryTier(max_entries=10_000), RedisTier("redis://…"))
        async with cache:
            podcasts = await cache.get_or_set("podcasts:42", load, ttl=300, tags=["tenant:42"])
            await cache.invalidate("tenant:42")

    tiers: a `MemoryTier`, a shared `Tier`, or both; memory alone by default. freshness: the options where no
    category gives others. categories: options by name. codec: how values become bytes; msgspec's by default.
    transforms: what is done to the bytes on their way to the shared tier, in order: compress, then encrypt.
    max_value_bytes: the largest value that is kept. breaker: a circuit breaker around the shared tier. consistency: the
    database that loaders read, so that after a change they don't read from a replica that hasn't seen it.

    Guarantees: one load of a key at a time in this process, and in all that share the tier while it answers; a value
    loaded before a change of its key or tags is not kept after it; a caller that is cancelled harms no other; no
    error of the tier reaches a caller; what a caller does to a value changes nobody else's.

    It belongs to the event loop it is entered in. After FusionCache, with S3-FIFO for memory.
    """

    def __init__(
        self,
        *tiers: MemoryTier | Tier,
        name: str = "cache",
        freshness: Freshness | None = None,
        categories: Mapping[str, Freshness] | None = None,
        codec: Codec | None = None,
        transforms: Sequence[Any] = (),
        max_value_bytes: int = 1_000_000,
        breaker: Breaker | None = None,
        consistency: Consistency | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: Events | None = None,
    ) -> None:
        number("Cache", "max_value_bytes", max_value_bytes, at_least=1, integer=True)
        self.name = name
        self.clock = clock
        self.events = Events() if events is None else events
        self.memory, self.tier = _tiers(tiers, clock)
        self.categories = {DEFAULT: freshness or Freshness(), **(categories or {})}
        if codec is None:
            from seawall.cache.msgspec import MsgspecCodec  # noqa: PLC0415 - the cache extra, unless a codec is given

            codec = MsgspecCodec()
        self.shared = Shared(name, self.memory, self.tier, breaker, self.events, clock)
        self.shared.consistency = consistency
        self.values = Values(self.memory, self.shared, codec, max_value_bytes, tuple(transforms))
        self.meters: dict[tuple[str, str], Meter] = {}
        self.templates: dict[str, str] = {}
        self._heads: dict[tuple[str, str], Meter] = {}
        self._fast = self.memory.fast
        filler = Filler(name, self.memory, self.shared, self.values)
        self.reader = Reader(self.memory, self.shared, self.values, filler)
        self._monotonic = clock.monotonic
        self._made = clock.monotonic()
        self._turns = blocking.Turns()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        if self.tier is not None:
            await self.tier.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop = None
        await self.shared.stop()
        self.memory.tick()
        if self.tier is not None:
            await self.tier.__aexit__(kind, error, trace)

    async def check(self) -> Health:
        """Degraded while the shared tier is away: memory serves, but processes don't hear of each other."""
        if self.tier is None:
            return Health(status=Status.HEALTHY)
        health = await self.tier.check()
        if self.shared.available:
            return health
        why = f": {health.message}" if health.message else ""
        return Health(status=Status.DEGRADED, message=f"{self.tier.name} is away; memory serves{why}")

    # Reading.

    @overload
    async def get(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    async def get(self, key: str, default: D, type: type[T]) -> T | D: ...
    @overload
    async def get(self, key: str, default: Any = None, type: Any = None) -> Any: ...

    async def get(self, key: str, default: Any = None, type: Any = None) -> Any:
        """The fresh value of `key`, else `default`; raises an error that was cached in its place.

        type: what it is decoded as, by default what it was stored as; a value of another type is none. What was
        stored without a type is read as any type of which it is exactly.
        """
        try:
            node = self._fast[key]
        except KeyError:
            pass  # what follows is no part of the handling of this error
        else:
            if type is None or type is node.read_as or type == node.read_as:
                node.hits += 1.0
                return node.value
        return await self.reader.get(self._order(key, type), default)

    def _order(self, key: str, type: Any) -> Order:
        """What is asked for where nothing is loaded."""
        return Order(key, _no_loader, self.categories[DEFAULT], self.meter(DEFAULT, key), type)

    def get_nowait(self, key: str, default: Any = None) -> Any:
        """The fresh value of `key` if memory has it, else `default`; asks nobody. From any thread."""
        try:
            node = self._fast[key]
        except KeyError:
            found = self.reader.fresh(key)
        else:
            node.hits += 1.0
            return node.value
        if found is None:
            return default
        found.hits += 1.0
        return opened(found.value)

    async def get_or_set(
        self,
        key: str,
        loader: Loader,
        # By name, please: that they can be given by position too makes a hit a fifth faster.
        ttl: float | None = None,
        tags: Sequence[str] = (),
        category: str = DEFAULT,
        freshness: Freshness | None = None,
        type: Any = None,
    ) -> Any:
        """The value of `key`; loaded by `loader` if there is none that is fresh.

        loader: `async def` or `def`, without arguments or with the `Load`. ttl: seconds, in place of the options'.
        tags: what voids it. category: whose options hold. freshness: options of its own. type: what it is encoded
        and decoded as; give it for containers of your own classes, such as `list[Podcast]`.

        Raises what the loader raises, where nothing stale may stand in; `LoadTimeoutError`; and
        `UnserializableError` for a value that can't be kept.
        """
        try:
            node = self._fast[key]
        except KeyError:
            pass
        else:
            node.hits += 1.0
            return node.value
        options = self.options(category) if freshness is None else freshness
        if ttl is not None:
            number("Cache.get_or_set", "ttl", ttl, at_least=0)
        names = tags_of("Cache.get_or_set", tags) if tags else ()
        order = Order(key, loader, options, self.meter(category, key), type, ttl, names)
        return await self.reader.answer(order)

    def answer_blocking(self, order: Order) -> Any:
        """What `get_or_set` gives for `order`, for a caller that can't await."""
        return blocking.answer(self, order, self._loop, self._turns)

    def cached(
        self,
        template: str | None = None,
        *,
        ttl: float | None = None,
        tags: Sequence[str] = (),
        category: str = DEFAULT,
        freshness: Freshness | None = None,
        ignore: Iterable[str] = (),
        type: Any = None,
    ) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
        """Cache what a function returns; `async def` or `def`.

            @cache.cached("podcasts:{tenant_id}", ttl=300, tags=["tenant:{tenant_id}"])
            async def podcasts(tenant_id: UUID) -> list[Podcast]: ...

            await podcasts(tenant_id)
            await podcasts.invalidate(tenant_id)

        template: the key, with the function's parameters; without one it is made of the function's name and all its
        parameters, so a lambda needs one, and a function that uses variables of the function around it. No two
        functions of a cache have the same one, unless they have the same module and name. ignore: parameters the
        result does not depend on, such as a session. type: what results are encoded as; by default what the function
        says it returns. The rest: see `get_or_set`.
        """

        def cache_function(function: Callable[P, R]) -> CachedFunction[P, R]:
            return decorate(
                Caching(
                    self, function, template,
                    ttl=ttl, tags=tags, category=category, freshness=freshness, ignore=ignore, type=type,
                )
            )  # fmt: skip

        return cache_function

    async def get_many(self, keys: Sequence[str], *, type: Any = None) -> dict[str, Any]:
        """The fresh values of `keys`, by key. One round trip to the shared tier.

        Keys without a value are left out, also those under which an error is cached: `get` raises it, one key at a
        time. type: see `get`.
        """
        found = await asyncio.gather(*(self.reader.find(self._order(key, type)) for key in keys))
        return {key: opened(kept) for key, kept in zip(keys, found, strict=True) if is_value(kept)}

    # Writing.

    async def set(
        self,
        key: str,
        value: Any,
        *,
        ttl: float | None = None,
        tags: Sequence[str] = (),
        category: str = DEFAULT,
        type: Any = None,
    ) -> None:
        """Keep `value` under `key` for `ttl` seconds (default: the category's), in every tier.

        Raises `UnserializableError` and `ValueTooLargeError`; then the former value stays.
        """
        freshness = self.options(category)
        ttl = freshness.ttl if ttl is None else ttl
        number("Cache.set", "ttl", ttl, above=0)
        lifetime = freshness.lifetime(ttl)
        kept = self.values.kept(key, value, type, encode=self.tier is not None)
        meter = self.meter(category, key)
        if self.values.too_large(key, kept) is not None:
            meter.refused += 1
            raise ValueTooLargeError(key, self.values.size(kept), self.values.max_value_bytes)
        meter.writes += 1
        tags_ = tags_of("Cache.set", tags) if tags else ()
        with self.shared.interest(key) as interest:
            if self.tier is None:
                version = self.shared.next_version()
            else:
                record = self.values.record(key, kept, 0, lifetime, freshness, tags_, None)
                keep = lifetime + freshness.retention
                version = await self.shared.change(
                    lambda tier: tier.write(key, record, keep=keep), key=key, record=record, keep=keep
                )
            newest = version >= interest.floor
        self.shared.supersede(key, version)
        if newest:
            now = self._monotonic()
            self.memory.put(
                key,
                kept.value,
                version=version,
                stored=now,
                fresh_until=now + lifetime,
                freshness=freshness,
                meter=meter,
                tags=tags_,
                size=self.values.size(kept),
            )

    async def set_many(self, values: Mapping[str, Any], **options: Any) -> None:
        """`set` each of `values` with the same options. One round trip to the shared tier."""
        await asyncio.gather(*(self.set(key, value, **options) for key, value in values.items()))

    async def delete(self, *keys: str) -> None:
        """Forget `keys` in every tier and process. A load that has begun before does not bring them back."""
        for key in keys:
            check_key(key)
        await asyncio.gather(*map(self._delete, keys))

    async def _delete(self, key: str) -> None:
        version = await self.shared.change(lambda tier: tier.delete(key), key=key)
        self.shared.supersede(key, version)
        self.memory.drop(key)

    async def invalidate(self, *tags: str) -> None:
        """Void everything that carries one of `tags`, in every tier and process."""
        tags_of("Cache.invalidate", tags)
        if EVERYTHING in tags:
            raise OptionError("Cache.invalidate", "tag", EVERYTHING, "another name; clear() voids everything")
        await asyncio.gather(*map(self._invalidate, tags))

    async def clear(self) -> None:
        """Void everything, in every tier and process."""
        await self._invalidate(EVERYTHING)

    async def _invalidate(self, tag: str) -> None:
        version = await self.shared.change(lambda tier: tier.invalidate(tag), tag=tag)
        self.shared.void(tag, version)

    # Looking on.

    def statistics(self, *, hot_keys: int = HOT_KEYS) -> CacheStatistics:
        """A frozen picture of this moment: counts by tier, category and key template, and the hottest keys.

        Looks at every entry in memory once; with a million of them, call it in a thread.
        """
        return analytics.statistics(self, self._monotonic() - self._made, hot_keys=hot_keys)

    def recommendations(self) -> list[Recommendation]:
        """What to change, judged by `statistics`; nothing where too little was seen to tell. Gravest first."""
        return advice.recommendations(self.statistics(hot_keys=0))

    def options(self, category: str) -> Freshness:
        """The options of `category`."""
        try:
            return self.categories[category]
        except KeyError:
            known = ", ".join(map(repr, self.categories))
            raise OptionError("Cache", "category", category, known) from None

    def meter(self, category: str, key: str) -> Meter:
        """The counts of `category` and of the keys that begin as `key` does."""
        try:
            head, separator, _ = key.partition(":")
        except (AttributeError, TypeError):
            check_key(key)
            raise
        meter = self._heads.get((category, head))
        if meter is None or not separator:
            check_key(key)
            meter = self.meter_of(category, f"{head}:*" if separator else head)
            if separator and len(self._heads) < MOST_METERS:
                self._heads[category, head] = meter
        return meter

    def meter_of(self, category: str, template: str) -> Meter:
        """The counts of `category` and a key template."""
        meter = self.meters.get((category, template))
        if meter is None:
            if len(self.meters) >= MOST_METERS:
                template = "…"
            meter = self.meters.setdefault((category, template), Meter(category, template))
        return meter

    def __repr__(self) -> str:
        return f"Cache({self.name!r}, {len(self.memory.nodes)} entries, tier={self.tier!r})"


def _tiers(tiers: Sequence[MemoryTier | Tier], clock: Clock) -> tuple[MemoryTier, Tier | None]:
    memory = [tier for tier in tiers if isinstance(tier, MemoryTier)]
    shared = [tier for tier in tiers if not isinstance(tier, MemoryTier)]
    if len(memory) > 1 or len(shared) > 1:
        raise OptionError("Cache", "tiers", tiers, "at most one MemoryTier and one shared tier")
    if memory:
        memory[0].clock = clock
        return memory[0], shared[0] if shared else None
    return MemoryTier(max_entries=0 if shared else 10_000, clock=clock), shared[0] if shared else None


def _no_loader() -> None:
    raise AssertionError
