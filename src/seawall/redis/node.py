"""A primary of a cluster: its link, and whether something can be sent to it now."""

from __future__ import annotations

import asyncio
from typing import Protocol

from seawall.core import Clock
from seawall.redis.address import Address
from seawall.redis.early import Early
from seawall.redis.errors import RedisUnavailableError
from seawall.redis.link import Link, Timing
from seawall.redis.script import Script
from seawall.redis.subscriptions import Subscriptions
from seawall.redis.wire import Waiter, Wire


class Nodes(Protocol):
    """What a node tells the cluster it belongs to."""

    def node_changed(self, node: Node, error: Exception | None) -> None:
        """It answers now, or, with an error, doesn't any more; nothing is lost yet."""
        ...

    def node_lost(self, node: Node, wire: Wire, error: Exception) -> None:
        """Its connection is gone. Called before anybody who waits for an answer hears of it."""
        ...


class Node:
    """What is sent during its first attempt to connect waits for it, `timeout` seconds at most."""

    __slots__ = ("_early", "_name", "_owner", "link", "listed", "named_at", "primary", "wire")

    def __init__(
        self, owner: Nodes, name: str, address: Address, timing: Timing, clock: Clock, scripts: dict[bytes, Script]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._owner = owner
        self._name = name
        self._early: Early[bytes] | None = Early(loop, timing.timeout, self.tried)
        self.link = Link(
            self, name, address, timing, clock, scripts=scripts, subscriptions=Subscriptions(), folds=False
        )
        self.wire: Wire | None = None
        """The connection while it answers."""
        self.listed = False
        """Whether the slot map names it."""
        self.primary = False
        """Whether the slot map names it, or another node has, which knows more than the map."""
        self.named_at = loop.time()
        self.link.start()

    @property
    def address(self) -> str:
        """Its host:port."""
        return self.link.address.text

    @property
    def starting(self) -> bool:
        """Whether what is sent waits for the first attempt to connect."""
        return self._early is not None

    def send(self, packed: bytes, waiter: Waiter) -> None:
        """Send a command; `waiter` gets the reply. Raises `RedisUnavailableError` where it can't be sent."""
        if self.wire is not None:
            self.wire.send(packed, waiter)
        elif self._early is not None:
            self._early.send(packed, waiter)
        else:
            raise self.unavailable()

    def unavailable(self) -> RedisUnavailableError:
        """Why nothing can be sent."""
        return RedisUnavailableError(self._name, self.address, self.link.reason)

    def tried(self) -> None:
        """The first attempt is over, or took too long for those who wait."""
        early, self._early = self._early, None
        if early is not None:
            error = self.unavailable()
            self._owner.node_changed(self, error)
            early.refuse(error)

    async def stop(self) -> None:
        """Close the connection; what is under way fails."""
        self.link.reason = "it was closed"
        self.tried()
        await self.link.stop()

    def link_up(self, link: Link, wire: Wire) -> None:
        """See `Owner`."""
        early, self._early = self._early, None
        self.wire = wire
        self._owner.node_changed(self, None)
        if early is not None:
            early.pass_on(wire)

    def link_silent(self, link: Link, error: Exception) -> None:
        """See `Owner`."""
        self.wire = None
        self._owner.node_changed(self, error)

    def link_down(self, link: Link, wire: Wire, error: Exception) -> None:
        """See `Owner`."""
        self.wire = None
        self._owner.node_lost(self, wire, error)

    def __repr__(self) -> str:
        return f"Node({self.address}{', up' if self.wire is not None else ''})"
