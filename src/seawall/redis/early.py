"""Commands issued while the first connection is being made: they wait for it, not for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from seawall.redis.wire import Waiter, Wire, refuse


class Early:
    """Stands where the wire will be. All that it holds is sent when there is one, or refused `timeout` seconds after
    the first.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float, given_up: Callable[[], None]) -> None:
        self._loop = loop
        self._timeout = timeout
        self._given_up = given_up
        self._timer: asyncio.TimerHandle | None = None
        self._commands: list[tuple[bytes, Waiter, bool]] = []

    @property
    def in_flight(self) -> int:
        """Commands held."""
        return len(self._commands)

    def get(self, key: bytes, waiter: Waiter) -> None:
        """Hold a GET."""
        self._hold(key, waiter, fold=True)

    def send(self, packed: bytes, waiter: Waiter) -> None:
        """Hold a command."""
        self._hold(packed, waiter, fold=False)

    def _hold(self, command: bytes, waiter: Waiter, *, fold: bool) -> None:
        self._commands.append((command, waiter, fold))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._given_up)

    def pass_on(self, wire: Wire) -> None:
        """Send everything."""
        for command, waiter, fold in self._take():
            (wire.get if fold else wire.send)(command, waiter)

    def refuse(self, error: Exception) -> None:
        """Fail everything."""
        for _, waiter, _ in self._take():
            refuse(waiter, type(error)(*error.args))

    def _take(self) -> list[tuple[bytes, Waiter, bool]]:
        if self._timer is not None:
            self._timer.cancel()
        commands, self._commands = self._commands, []
        return commands
