"""The contract of a shared tier: what the cache relies on, as checks that any implementation passes.

    @pytest.mark.parametrize("check", TIER_CHECKS, ids=lambda check: check.__name__)
    def test_my_tier_keeps_the_contract(check):
        asyncio.run(check(MyTier(url), MyTier(url)))

Each check is given two tiers on the same store, as two processes have them, not yet entered, and raises
`AssertionError` where the contract is broken.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from seawall.cache.record import VALUE, Record
from seawall.cache.tier import Change, Granted, Held, Tier

HEARD = 2.0
"""Seconds within which news must arrive."""


class Heard:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.news: list[tuple[str, str | None, int]] = []
        self.up = False

    def changed(self, key: str, version: int) -> None:
        """See `Listener`."""
        self.news.append(("changed", key, version))

    def invalidated(self, tag: str, version: int) -> None:
        """See `Listener`."""
        self.news.append(("invalidated", tag, version))

    def announced(self, text: str) -> None:
        """See `Listener`."""
        self.news.append(("announced", text, 0))

    def released(self, key: str, failed: str | None) -> None:
        """See `Listener`."""
        self.news.append((f"released {failed}", key, 0))

    def lost(self) -> None:
        """See `Listener`."""
        self.up = False

    def back(self, *, gapless: bool, wiped: bool) -> None:
        """See `Listener`."""
        self.up = True

    async def until(self, kind: str, name: str) -> int:
        """Wait for news of `kind` about `name`; its version."""
        async with asyncio.timeout(HEARD):
            while True:
                for told, about, version in self.news:
                    if (told, about) == (kind, name):
                        return version
                await asyncio.sleep(0.005)


@asynccontextmanager
async def _entered(one: Tier, other: Tier) -> AsyncIterator[tuple[str, Heard]]:
    """Both tiers up, a key nobody has used, and what the second one hears."""
    heard = Heard()
    other.attach(heard)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(one)
        await stack.enter_async_context(other)
        async with asyncio.timeout(HEARD):
            while not (one.available and other.available and heard.up):
                await asyncio.sleep(0.005)
        yield f"contract: {os.urandom(6).hex()}\n{{é}}", heard


def _record(tier: Tier, payload: bytes = b"value", *, version: int = 0, tags: tuple[str, ...] = ()) -> Record:
    now = tier.clock()
    return Record(VALUE, version, now, now + 60.0, now + 120.0, b"\x01" * 8, tags, "etag", b"", payload)


async def what_is_written_is_read_everywhere(one: Tier, other: Tier) -> None:
    """A record comes back as it was, with the version of its write; a key that was never written has none."""
    async with _entered(one, other) as (key, _):
        assert await other.get(key) is None
        record = _record(one, bytes(range(256)), tags=("a", "b c"))
        version = await one.write(key, record, keep=60.0)
        assert await other.get(key) == record._replace(version=version)
        assert await other.get_many([key, key + "?"]) == [record._replace(version=version), None]


async def later_writes_have_greater_versions(one: Tier, other: Tier) -> None:
    """Whoever makes them."""
    async with _entered(one, other) as (key, _):
        versions = []
        for number in range(20):
            tier = (one, other)[number % 2]
            versions.append(await (tier.delete(key) if number % 5 == 4 else tier.write(key, _record(tier), keep=60.0)))
        assert versions == sorted(set(versions))


async def a_write_is_told_to_others(one: Tier, other: Tier) -> None:
    """With the version that it got."""
    async with _entered(one, other) as (key, heard):
        version = await one.write(key, _record(one), keep=60.0)
        assert await heard.until("changed", key) == version


async def a_delete_removes_and_is_told(one: Tier, other: Tier) -> None:
    """Also of a key that does not exist."""
    async with _entered(one, other) as (key, heard):
        await one.write(key, _record(one), keep=60.0)
        await heard.until("changed", key)
        heard.news.clear()
        version = await one.delete(key)
        assert await other.get(key) is None
        assert await heard.until("changed", key) == version
        await one.delete(key + "?")
        await heard.until("changed", key + "?")


async def a_record_is_gone_after_its_time(one: Tier, other: Tier) -> None:
    """It is kept for `keep` seconds."""
    async with _entered(one, other) as (key, _):
        await one.write(key, _record(one), keep=0.05)
        async with asyncio.timeout(HEARD):
            while await other.get(key) is not None:
                await asyncio.sleep(0.01)


async def one_lease_at_a_time(one: Tier, other: Tier) -> None:
    """Who has it keeps it by renewing it; released, it is free, and others are told."""
    async with _entered(one, other) as (key, heard):
        assert isinstance(await one.acquire(key, seen=0, token="one", seconds=5.0), Granted)
        held = await other.acquire(key, seen=0, token="other", seconds=5.0)
        assert isinstance(held, Held)
        assert 0 < held.seconds <= 5.1
        assert await one.renew(key, token="one", seconds=5.0)
        assert not await other.renew(key, token="other", seconds=5.0)
        await other.release(key, token="other")
        assert isinstance(await other.acquire(key, seen=0, token="other", seconds=5.0), Held)
        await one.release(key, token="one", failed="ValueError")
        await heard.until("released ValueError", key)
        assert isinstance(await other.acquire(key, seen=0, token="other", seconds=5.0), Granted)


async def a_lease_ends_by_itself(one: Tier, other: Tier) -> None:
    """When its holder has died."""
    async with _entered(one, other) as (key, _):
        await one.acquire(key, seen=0, token="one", seconds=0.05)
        async with asyncio.timeout(HEARD):
            while isinstance(await other.acquire(key, seen=0, token="other", seconds=5.0), Held):
                await asyncio.sleep(0.01)


async def a_fill_is_told_and_found_by_who_asks_for_the_lease(one: Tier, other: Tier) -> None:
    """Instead of the lease, unless he has seen it."""
    async with _entered(one, other) as (key, heard):
        lease = await one.acquire(key, seen=0, token="one", seconds=5.0)
        assert isinstance(lease, Granted)
        record = _record(one, version=lease.version)
        assert await one.fill(key, record, keep=60.0, token="one")
        assert await heard.until("changed", key) == lease.version
        assert await other.acquire(key, seen=0, token="other", seconds=5.0) == record
        again = await other.acquire(key, seen=lease.version, token="other", seconds=5.0)
        assert isinstance(again, Granted)
        assert again.version > lease.version


async def a_fill_loses_against_a_later_write(one: Tier, other: Tier) -> None:
    """What was loaded before the write is older than it, whenever it comes."""
    async with _entered(one, other) as (key, _):
        lease = await one.acquire(key, seen=0, token="one", seconds=5.0)
        assert isinstance(lease, Granted)
        await other.write(key, _record(other, b"written"), keep=60.0)
        assert not await one.fill(key, _record(one, b"loaded", version=lease.version), keep=60.0, token="one")
        found = await one.get(key)
        assert found is not None
        assert found.payload == b"written"


async def a_fill_loses_against_a_later_delete(one: Tier, other: Tier) -> None:
    """And the delete frees the lease, so that somebody loads anew."""
    async with _entered(one, other) as (key, _):
        lease = await one.acquire(key, seen=0, token="one", seconds=5.0)
        assert isinstance(lease, Granted)
        await other.delete(key)
        assert isinstance(await other.acquire(key, seen=0, token="other", seconds=5.0), Granted)
        assert not await one.fill(key, _record(one, version=lease.version), keep=60.0, token="one")
        assert await other.get(key) is None
        assert isinstance(await one.acquire(key, seen=0, token="one", seconds=5.0), Held)


async def tags_are_invalidated_for_all(one: Tier, other: Tier) -> None:
    """Each invalidation is greater than what was written before it, and is told."""
    async with _entered(one, other) as (key, heard):
        tag = key + ":tag"
        assert await other.invalidations([tag, "never " + tag]) == [0, 0]
        written = await one.write(key, _record(one, tags=(tag,)), keep=60.0)
        version = await one.invalidate(tag)
        assert version >= written
        assert await heard.until("invalidated", tag) == version
        assert await other.invalidations(["never " + tag, tag]) == [0, version]
        assert await other.write(key, _record(other, tags=(tag,)), keep=60.0) > version


async def what_is_announced_is_heard_by_all(one: Tier, other: Tier) -> None:
    """Whatever it is."""
    async with _entered(one, other) as (_, heard):
        one.announce("1:0/3000060 é")
        await heard.until("announced", "1:0/3000060 é")


async def a_replay_wins_only_against_what_is_older(one: Tier, other: Tier) -> None:
    """The journal of a process that was away, against what others did meanwhile."""
    async with _entered(one, other) as (key, heard):
        before = int(one.clock() * 1e6)
        await asyncio.sleep(0.005)
        version = await other.write(key, _record(other, b"later"), keep=60.0)
        deleted = await other.delete(key + "?")
        late = _record(one, b"earlier", version=before)
        await one.replay([Change(before, key=key, record=late, keep=60.0), Change(before, key=key)])
        await one.replay([Change(before, key=key + "?", record=late, keep=60.0)])
        found = await other.get(key)
        assert found is not None
        assert (found.payload, found.version) == (b"later", version)
        assert await other.get(key + "?") is None
        newest = deleted + 1_000_000
        await one.replay([Change(newest, key=key, record=_record(one, b"newest", version=newest), keep=60.0)])
        await one.replay([Change(newest, tag=key)])
        assert await heard.until("invalidated", key) == newest
        found = await other.get(key)
        assert found is not None
        assert found.payload == b"newest"
        await one.replay([Change(newest + 1, key=key)])
        assert await other.get(key) is None


Check = Callable[[Tier, Tier], Awaitable[None]]

TIER_CHECKS: tuple[Check, ...] = (
    what_is_written_is_read_everywhere,
    later_writes_have_greater_versions,
    a_write_is_told_to_others,
    a_delete_removes_and_is_told,
    a_record_is_gone_after_its_time,
    one_lease_at_a_time,
    a_lease_ends_by_itself,
    a_fill_is_told_and_found_by_who_asks_for_the_lease,
    a_fill_loses_against_a_later_write,
    a_fill_loses_against_a_later_delete,
    tags_are_invalidated_for_all,
    what_is_announced_is_heard_by_all,
    a_replay_wins_only_against_what_is_older,
)
