"""Keeps the events of a stream, to look at in a test."""

from __future__ import annotations

from typing import TypeVar

from seawall.core import Event, Events

E = TypeVar("E", bound=Event)


class EventRecorder:
    """Listens from when it is made: `recorder = EventRecorder(events)`."""

    def __init__(self, events: Events) -> None:
        self.events: list[Event] = []
        self.stop = events.subscribe(self.events.append)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one type, subclasses included, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def names(self) -> list[str]:
        """The type names of all events, in order."""
        return [type(event).__name__ for event in self.events]

    def clear(self) -> None:
        """Forget what was recorded."""
        self.events.clear()
