"""Who listens to which channel; it outlives connections."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from seawall.redis.wire import Waiter, Wire, pack

_logger = logging.getLogger("seawall.redis")

Listener = Callable[[bytes], object]


class Confirmation:
    """The place in the row of replies of a SUBSCRIBE or UNSUBSCRIBE, which is answered by a push or by an error.

    An error costs the connection: a channel that is believed to be heard and is not loses messages in silence.
    """

    __slots__ = ("_wire", "channel", "kind")

    lasting = True
    """A late server is still to confirm it."""

    def __init__(self, wire: Wire, kind: bytes, channel: bytes) -> None:
        self._wire = wire
        self.kind = kind
        self.channel = channel

    def set_result(self, push: object) -> None:
        """It is done."""

    def set_exception(self, error: Exception) -> None:
        """It was refused, or the connection is lost already."""
        self._wire.lose(error)


class Subscriptions:
    """Channels and their listeners."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: dict[bytes, tuple[Listener, ...]] = {}

    def channels(self) -> set[bytes]:
        """Those that somebody listens to."""
        return set(self._listeners)

    def add(self, channel: bytes, listener: Listener) -> bool:
        """True for the first listener of a channel."""
        before = self._listeners.get(channel, ())
        self._listeners[channel] = (*before, listener)
        return not before

    def remove(self, channel: bytes, listener: Listener) -> bool:
        """True for the last listener of a channel."""
        rest = list(self._listeners.get(channel, ()))
        if listener not in rest:
            return False
        rest.remove(listener)
        if rest:
            self._listeners[channel] = tuple(rest)
        else:
            del self._listeners[channel]
        return not rest

    def pushed(self, push: list[Any], head: Waiter | None) -> bool:
        """Hand a message to its listeners; True when the push is the answer `head` waits for."""
        kind, channel = push[0], push[1]
        if kind == b"message":
            for listener in self._listeners.get(channel, ()):
                try:
                    listener(push[2])
                except Exception:
                    _logger.exception("listener %r of channel %r failed", listener, channel)
            return False
        return isinstance(head, Confirmation) and (head.kind, head.channel) == (kind, channel)


def subscribe(wire: Wire, channels: Iterable[bytes]) -> None:
    """Ask the server for the channels' messages."""
    for channel in channels:
        wire.send(pack((b"SUBSCRIBE", channel)), Confirmation(wire, b"subscribe", channel))


def unsubscribe(wire: Wire, channels: Iterable[bytes]) -> None:
    """Tell the server that nobody listens to the channels."""
    for channel in channels:
        wire.send(pack((b"UNSUBSCRIBE", channel)), Confirmation(wire, b"unsubscribe", channel))
