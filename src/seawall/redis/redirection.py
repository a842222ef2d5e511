"""A command that a cluster's node sends elsewhere goes there, and its caller never knows."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from seawall.redis.errors import RedisCommandError
from seawall.redis.topology import Node
from seawall.redis.wire import Callback, Value, Waiter, Wire, pack, refuse

MOST = 5
"""Redirections of one command; a map that is this wrong is being redrawn."""
PAUSE = 0.005
"""Seconds until a command looks again for a node that is being connected, or for a slot between two nodes."""


class Follower(Protocol):
    """The client of the cluster, as far as redirections go."""

    timeout: float

    def follow(self, node: Node, slot: int | None) -> Wire | None:
        """The connection to `node`, which has `slot` from now on; None while it is being made."""
        ...


class Redirected:
    """Waits for a command's reply on behalf of its caller, and follows MOVED, ASK and TRYAGAIN."""

    __slots__ = ("_args", "_follower", "_give_up", "_left", "_waiter")

    def __init__(self, follower: Follower, args: tuple[Value, ...], waiter: Waiter) -> None:
        self._follower = follower
        self._args = args
        self._waiter = waiter
        self._left = MOST
        self._give_up = 0.0

    def set_result(self, value: Any) -> None:
        """The answer."""
        self._waiter.set_result(value)

    def set_exception(self, error: Exception) -> None:
        """The error, unless it names another node."""
        if isinstance(error, RedisCommandError) and error.server_code in {"MOVED", "ASK", "TRYAGAIN"} and self._left:
            self._left -= 1
            self._give_up = asyncio.get_running_loop().time() + self._follower.timeout
            self._again(error)
        elif isinstance(error, RedisCommandError):
            self._waiter.set_exception(error)
        else:
            refuse(self._waiter, error)

    def _again(self, error: RedisCommandError) -> None:
        loop = asyncio.get_running_loop()
        if error.server_code == "TRYAGAIN":
            # Some of the keys have moved and some have not: the node it came from decides again.
            node, slot = _node(error.address, error), None
        else:
            _, number, named = error.text.split()[:3]
            node, slot = _node(named, error), int(number) if error.server_code == "MOVED" else None
        wire = self._follower.follow(node, slot)
        if wire is not None and error.server_code != "TRYAGAIN":
            if error.server_code == "ASK":
                wire.send(pack((b"ASKING",)), Callback(_ignored, _ignored))
            wire.send(pack(self._args), self)
        elif loop.time() < self._give_up:
            if error.server_code == "TRYAGAIN" and wire is not None:
                loop.call_later(PAUSE, self._send_to, wire, error)
            else:
                loop.call_later(PAUSE, self._again, error)
        else:
            refuse(self._waiter, error)

    def _send_to(self, wire: Wire, error: RedisCommandError) -> None:
        if wire.error is None:
            wire.send(pack(self._args), self)
        else:
            refuse(self._waiter, error)


def _node(named: str, error: RedisCommandError) -> Node:
    host, _, port = named.rpartition(":")
    # An empty host is the one that answered.
    return host.strip("[]") or error.address.rpartition(":")[0].strip("[]"), int(port)


def _ignored(reply: Any) -> None:
    """ASKING is answered with OK."""
