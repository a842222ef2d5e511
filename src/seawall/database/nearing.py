"""Bounded waiting for a standby that will soon have what a caller must be shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from seawall.core import Clock, deadline
from seawall.database.node import Node
from seawall.database.routing import Caller

FORGIVEN_AFTER = 1.0
"""Seconds in which nobody waits for a standby after somebody has waited for it in vain."""


class Nearing:
    """Who waits for standbys. seconds: how long a read may; 0.0 is not at all.

    A standby that is regularly later than that costs one wait a second, of the reads that come in that moment.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self._clock = clock
        self._late: dict[str, float] = {}
        self._waiting = 0
        self._answered = asyncio.Event()

    def answered(self) -> None:
        """Some server has answered a probe: look again."""
        if self._waiting:
            self._answered.set()
            self._answered = asyncio.Event()

    async def standby(
        self, caller: Caller, standbys: Sequence[Node], seen: Node | None, pick: Callable[[], Node | None]
    ) -> Node | None:
        """What `pick` finds within `seconds`, and half of what is left until the deadline; None if that is nothing.

        standbys: those that may come to serve `caller`. seen: the server that it has read, as long as nobody knows how
        far that was.
        """
        now = self._clock.monotonic()
        near = [node for node in standbys if node.state.usable and self._late.get(node.name, 0.0) <= now]
        left = deadline.remaining(clock=self._clock)
        seconds = self.seconds if left is None else min(self.seconds, left / 2)
        if not near or caller.strict:
            return None
        needed = 0 if caller.floor is None else caller.floor.lsn
        self._waiting += 1
        try:
            with ExitStack() as stack:
                for node in (*near, *([] if seen is None else [seen])):
                    stack.enter_context(node.awaited(needed))
                async with asyncio.timeout(seconds):
                    while True:
                        await self._answered.wait()
                        if (found := pick()) is not None:
                            return found
        except TimeoutError:
            if seconds == self.seconds:
                self._late.update((node.name, self._clock.monotonic() + FORGIVEN_AFTER) for node in near)
            return None
        finally:
            self._waiting -= 1
