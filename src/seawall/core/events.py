"""Facts that parts report, and the stream that carries them to whoever listens."""

from __future__ import annotations

import logging
import threading
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_logger = logging.getLogger("seawall.events")
_changing = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Event:
    """A fact, named with a past participle: `CircuitOpened`. Subclasses add fields and are frozen too."""


E = TypeVar("E", bound=Event)
Listener = Callable[[E], object]


class Events:
    """A stream of events.

    `emit` is synchronous, never raises, and costs one truth test when nobody listens, provided that the
    caller asks first: `if events.listeners: events.emit(...)`. Listeners run in the emitter's thread and
    context, so context variables (trace, request id) are the caller's; they must not block.
    """

    __slots__ = ("listeners",)

    def __init__(self) -> None:
        self.listeners: tuple[tuple[type[Event] | None, Callable[..., object]], ...] = ()

    def subscribe(self, listener: Listener[E], to: type[E] | None = None) -> Callable[[], None]:
        """Call `listener` with every event that is an instance of `to` (default: all).

        Returns a function that ends the subscription; calling it twice is harmless.
        """
        if not callable(listener):
            message = f"an event listener must be callable, got {listener!r}"
            raise TypeError(message)
        entry = (to, listener)
        with _changing:
            self.listeners = (*self.listeners, entry)

        def unsubscribe() -> None:
            with _changing:
                self.listeners = tuple(other for other in self.listeners if other is not entry)

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Hand `event` to every listener; what a listener raises is logged, never passed on."""
        for kind, listener in self.listeners:
            if kind is None or isinstance(event, kind):
                try:
                    listener(event)
                # It awaits nothing, so a cancellation is not the caller's: it asked a cancelled task for its result.
                except (Exception, CancelledError):
                    _logger.exception("listener %r failed on %r", listener, event)
