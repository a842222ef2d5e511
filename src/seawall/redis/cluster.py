"""The client of a cluster: one connection to each primary, every command to the one that has its key."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from redis.crc import key_slot

from seawall.core import Health, Status
from seawall.redis.client import Redis, RedisStatistics
from seawall.redis.errors import RedisError, RedisUnavailableError
from seawall.redis.events import RedisConnected, RedisLost
from seawall.redis.link import Link
from seawall.redis.redirection import Redirected
from seawall.redis.subscriptions import Subscriptions, subscribe
from seawall.redis.topology import SLOTS, Node, Topology, slot_of, survey
from seawall.redis.wire import Callback, Value, Waiter, Wire, pack

LOOK_AGAIN = 5.0
"""Seconds between two looks at a cluster in which nothing happened; a redirection is looked into at once."""
LOOK_HARD = 0.1
"""The same while a primary is away."""


class RedisCluster(Redis):
    """A Redis or Valkey cluster with the face of `Redis`. Made by `Redis.cluster(url)`, where `url` is any node's.

    It counts as connected while every slot has a primary that answers. When one is lost, `down` is called, and commands
    for its keys raise `RedisUnavailableError` at once; those for other keys go on. A slot that moves is followed
    without a word to the caller.

    What a cluster cannot give: an order between answers of two nodes; an order between messages, which come from one
    node for all, and the answers of others; commands and scripts with keys of two slots. Commands issued before the
    first connection don't wait for it.
    """

    sharded = True

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._follower: asyncio.Task[None] | None = None
        self._links: dict[Node, Link] = {}
        self._slots: list[Link | None] = [None] * SLOTS
        self._known: set[Node] = set()
        self._changed = asyncio.Event()
        self._surveyed = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()
        self._whole = False
        self._why = "not connected yet"

    # --- commands

    def get(self, key: bytes) -> asyncio.Future[bytes | None]:
        """The value of `key`; None where there is none. Of a step of the event loop, one write to each node."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._get(key, future)
        return future

    def get_then(self, key: bytes, on_reply: Callable[[Any], object]) -> None:
        """As `get`, but `on_reply` is called with the value or the error, in the order of the node's answers."""
        self._get(key, Callback(on_reply, on_reply))

    def _get(self, key: bytes, waiter: Waiter) -> None:
        self._wire_of(key_slot(key)).get(key, Redirected(self, (b"GET", key), waiter))

    def _send(self, args: tuple[Value, ...], waiter: Waiter) -> None:
        self._wire_of(slot_of(args)).send(pack(args), Redirected(self, args, waiter))

    def _wire_of(self, slot: int | None) -> Wire:
        if self._loop is None or asyncio.get_running_loop() is not self._loop:
            self._refuse()
        if slot is not None:
            link = self._slots[slot]
            if link is not None and (wire := _answering(link)) is not None:
                return wire
            raise self._unavailable_at(link)
        for link in (self._link, *self._links.values()):
            if link is not None and (wire := _answering(link)) is not None:
                return wire
        raise self._unavailable_at(self._link)

    def _unavailable_at(self, link: Link | None) -> RedisUnavailableError:
        if link is None:
            return RedisUnavailableError(self.name, self._address.text, self._why)
        return RedisUnavailableError(self.name, link.address.text, link.reason)

    def follow(self, node: Node, slot: int | None) -> Wire | None:
        """The connection to `node`, None while it is being made; `slot`, where given, is there from now on."""
        link = self._links.get(node)
        if link is None:
            link = self._add(node)
        if slot is not None:
            self._slots[slot] = link
            self._changed.set()
        return _answering(link)

    # --- state

    @property
    def connected(self) -> bool:
        """Whether every slot has a primary that answers."""
        return self._whole

    def patience(self) -> float:
        """See `Redis.patience`; that of the node which has kept its callers waiting longest."""
        wires = [link.wire for link in self._links.values() if link.wire is not None]
        return min((wire.patience() for wire in wires), default=self.timeout)

    def statistics(self) -> RedisStatistics:
        """A frozen picture of this moment, of all connections together; the round trip is the longest."""
        links = list(self._links.values())
        wires = [link.wire for link in links if link.wire is not None]
        trips = [link.server_clock.round_trip for link in links if link.server_clock.round_trip is not None]
        return RedisStatistics(
            connected=self.connected,
            generation=self.generation,
            sent=self._sent + sum(wire.sent for wire in wires),
            batches=self._batches + sum(wire.batches for wire in wires),
            lost=self.generation,
            reconnects=sum(max(0, link.connects - 1) for link in links),
            in_flight=sum(wire.in_flight for wire in wires),
            round_trip=max(trips, default=None),
        )

    async def check(self) -> Health:
        """Healthy when every primary answers a PING, degraded when one doesn't."""
        began = self._clock.monotonic()
        primaries = {link for link in self._slots if link is not None}
        try:
            if not self.connected:
                raise self._unavailable_at(next((link for link in primaries if _answering(link) is None), None))
            await asyncio.gather(*(wire.execute((b"PING",)) for link in primaries if (wire := _answering(link))))
        except RedisError as error:
            return Health(status=Status.DEGRADED, message=error.message)
        took = self._clock.monotonic() - began
        return Health(status=Status.HEALTHY, message=f"{len(primaries)} primaries answer in {1000 * took:.1f} ms")

    # --- life

    async def __aenter__(self) -> Self:
        if self._follower is not None:
            message = f"{self.name!r} is entered already; it can be shared, but entered once"
            raise RuntimeError(message)
        self._loop = asyncio.get_running_loop()
        self._surveyed.clear()
        self._follower = self._loop.create_task(self._follow(), name=f"seawall-redis-{self.name}")
        try:
            await self._surveyed.wait()
            await asyncio.gather(*(link.tried() for link in list(self._links.values())))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        follower, self._follower = self._follower, None
        if follower is None:
            return
        follower.cancel()
        await asyncio.wait([follower])
        self._why = "it was closed"
        for node in list(self._links):
            self._remove(node)
        await asyncio.gather(*self._leaving)
        self._slots = [None] * SLOTS
        self._link = None

    async def _follow(self) -> None:
        """Keep the map of the cluster true."""
        while True:
            self._changed.clear()
            addresses = [self._address.at(*node) for node in self._known] or [self._address]
            if not self._whole and self._known:
                addresses.append(self._address)
            try:
                self._arrange(
                    await survey(addresses, f"seawall:{self.name}".replace(" ", "-"), self._timing.connect_timeout)
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go well
                words = str(error) or type(error).__name__
                self._why = self._address.hidden(f"no node of the cluster tells its slots: {words}")
            self._surveyed.set()
            await asyncio.sleep(LOOK_HARD * random.uniform(0.5, 1.0))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN if self._whole else LOOK_HARD):
                    await self._changed.wait()

    def _arrange(self, topology: Topology) -> None:
        primaries = {node for _, _, node in topology.ranges}
        self._known = topology.nodes
        self._why = "its slot has no primary"
        for node in primaries - self._links.keys():
            self._add(node)
        self._slots = [None] * SLOTS
        for first, last, node in topology.ranges:
            self._slots[first : last + 1] = [self._links[node]] * (last + 1 - first)
        for node in self._links.keys() - primaries:
            self._remove(node)
        if self._link not in self._links.values() and self._links:
            self._link = self._links[min(primaries)]
            self._link.subscriptions = self._subscriptions
            if self._link.wire is not None:
                subscribe(self._link.wire, self._subscriptions.channels())
        self._settle()

    def _add(self, node: Node) -> Link:
        link = self._links[node] = Link(
            self,
            self.name,
            self._address.at(*node),
            self._timing,
            self._clock,
            scripts=self._scripts,
            subscriptions=Subscriptions(),
            folds=False,
        )
        link.start()
        return link

    def _remove(self, node: Node) -> None:
        link = self._links.pop(node)
        task = asyncio.create_task(link.stop())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _settle(self) -> None:
        """Say so when everything is there."""
        whole = all(link is not None and link.wire is not None and not link.wire.silent for link in set(self._slots))
        if not whole or self._whole:
            return
        self._whole = True
        self._watchers.up()
        if self.events.listeners:
            self.events.emit(RedisConnected(name=self.name, address=self.address, generation=self.generation))

    def _broken(self, link: Link, error: Exception) -> None:
        self._changed.set()
        if self._whole and (link is self._link or link in self._slots):
            self._whole = False
            self._watchers.down(error)
            if self.events.listeners:
                self.events.emit(RedisLost(name=self.name, address=link.address.text, reason=link.reason))

    def link_up(self, link: Link, wire: Wire) -> None:
        """A connection is there."""
        self._settle()

    def link_silent(self, link: Link, error: Exception) -> None:
        """A node doesn't answer in time."""
        self._broken(link, error)

    def link_down(self, link: Link, wire: Wire, error: Exception) -> None:
        """A connection is gone."""
        self.generation += 1
        self._sent += wire.sent
        self._batches += wire.batches
        self._broken(link, error)


def _answering(link: Link) -> Wire | None:
    wire = link.wire
    return None if wire is None or wire.silent else wire
