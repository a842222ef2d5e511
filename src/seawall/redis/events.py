"""The facts that the connection to Redis reports."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Event


@dataclass(frozen=True, kw_only=True)
class RedisEvent(Event):
    """`name` is the client's, `address` the server's host:port."""

    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class RedisConnected(RedisEvent):
    """Commands are answered from now on. `generation` counts the losses before."""

    generation: int


@dataclass(frozen=True, kw_only=True)
class RedisLost(RedisEvent):
    """The connection is gone, with the answers under way and the messages sent until it is back."""

    reason: str
