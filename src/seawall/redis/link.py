"""A connection that is kept: opened, prepared, watched, and opened again when it is lost.

          opened, greeted, subscribed            lost
DOWN ──────────────────────────────────► UP ───────────► DOWN, the next attempt after a pause
  ▲  │
  └──┘ failed: 20 ms, then twice as long each time up to 0.5 s, less up to half at random
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError
from redis.exceptions import RedisError as PeerError

from seawall.core import Clock
from seawall.redis.address import Address
from seawall.redis.errors import RedisCommandError, RedisError, RedisTimeoutError, RedisUnavailableError
from seawall.redis.handover import open_and_take
from seawall.redis.script import Script
from seawall.redis.server_clock import ServerClock
from seawall.redis.subscriptions import Subscriptions, subscribe, unsubscribe
from seawall.redis.wire import Callback, Waiter, Wire, pack

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
LOOK_AGAIN = 1.0
"""Seconds between two questions to the sentinels, who is the primary."""

_TIME = pack((b"TIME",))


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What bounds a connection, in seconds."""

    timeout: float
    heartbeat: float
    connect_timeout: float


class Owner(Protocol):
    """What a link tells the client it belongs to."""

    def link_up(self, link: Link, wire: Wire) -> None:
        """Commands are answered from now on."""
        ...

    def link_silent(self, link: Link, error: Exception) -> None:
        """They are not answered in time. `link_up` or `link_down` follows."""
        ...

    def link_down(self, link: Link, wire: Wire, error: Exception) -> None:
        """The connection is gone. Called once for each connection that was up."""
        ...


class Link:
    """Keeps one connection to wherever `locate` says. `scripts` and `subscriptions` are sent with each connect."""

    def __init__(
        self,
        owner: Owner,
        name: str,
        address: Address,
        timing: Timing,
        clock: Clock,
        *,
        locate: Callable[[], Awaitable[Address]] | None = None,
        scripts: dict[bytes, Script],
        subscriptions: Subscriptions,
        folds: bool = True,
    ) -> None:
        self._owner = owner
        self._name = name
        self._timing = timing
        self._clock = clock
        self._locate = locate
        self._scripts = scripts
        self._folds = folds
        self._subscribed: set[bytes] = set()
        self._lost = asyncio.Event()
        self._tried = asyncio.Event()
        self._beat: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.address = address
        self.subscriptions = subscriptions
        self.wire: Wire | None = None
        self.reason = "not connected yet"
        self.server_clock = ServerClock()
        self.connects = 0

    def start(self) -> None:
        """Begin to connect, in a task that belongs to no request."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._keep(), name=f"seawall-redis-{self._name}")

    async def tried(self) -> None:
        """Wait for the end of the first attempt."""
        await self._tried.wait()

    async def stop(self) -> None:
        """Close the connection; what is under way fails."""
        wire = self.wire
        if wire is not None:
            wire.lose(ConnectionError("it was closed"))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if wire is not None:
            await wire.closed

    # --- connecting

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(self._timing.connect_timeout):
                    wire = await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may go well
                self.reason = self._words(error)
                self._tried.set()
            else:
                up_at = self._loop.time()
                self._up(wire)
                self._tried.set()
                await self._until_lost(wire)
                if self._loop.time() - up_at > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _until_lost(self, wire: Wire) -> None:
        """Ask now and then whether it is still the place: a primary that was replaced is told seconds later."""
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(None if self._locate is None else LOOK_AGAIN):
                    await self._lost.wait()
            except TimeoutError:
                with suppress(Exception):  # nobody knows better: stay
                    async with asyncio.timeout(self._timing.connect_timeout):
                        named = await self._locate() if self._locate is not None else self.address
                    if named.text != self.address.text:
                        wire.lose(ConnectionError(f"the primary is {named.text} now"))

    async def _connect(self) -> Wire:
        if self._locate is not None:
            self.address = await self._locate()
        wire = await open_and_take(self._opened(), self._wire)
        try:
            await self._prepare(wire)
        except BaseException as error:
            wire.lose(error if isinstance(error, Exception) else ConnectionError("it was given up"))
            raise
        return wire

    def _opened(self) -> AbstractConnection:
        return self.address.connection(f"seawall:{self._name}".replace(" ", "-"), self._timing.connect_timeout)

    def _wire(self) -> Wire:
        # Until it is greeted, what bounds it is the time to connect.
        return Wire(self._loop, self, self._timing.connect_timeout, self._refused, folds=self._folds)

    async def _prepare(self, wire: Wire) -> None:
        self._subscribed = self.subscriptions.channels()
        subscribe(wire, self._subscribed)
        loads = [wire.execute((b"SCRIPT", b"LOAD", script.source)) for script in self._scripts.values()]
        sent = self._clock.monotonic()
        time = wire.execute((b"TIME",))
        # A server that loads its data says so here.
        ping = wire.execute((b"PING",))
        role = wire.execute((b"ROLE",)) if self._locate is not None else None
        # What the server holds against a script, `run` hears.
        answers: list[Any] = await asyncio.gather(ping, time, *loads, return_exceptions=True)
        if wire.error is not None:
            raise wire.error
        for answer in answers[:2]:
            if isinstance(answer, RedisCommandError) and answer.server_code in {"LOADING", "MASTERDOWN", "NOAUTH"}:
                raise answer
        if role is not None and (await role)[0] != b"master":
            message = "it is a replica; the sentinels will name another server"
            raise ConnectionError(message)
        self.server_clock.forget()
        if isinstance(answers[1], list):
            self.server_clock.heard(answers[1], sent, self._clock.monotonic())

    def _up(self, wire: Wire) -> None:
        if wire.error is not None:
            self.reason = self._words(wire.error)
            self._lost.set()
            return
        channels = self.subscriptions.channels()
        subscribe(wire, channels - self._subscribed)
        unsubscribe(wire, self._subscribed - channels)
        self._lost.clear()
        wire.allow(self._timing.timeout)
        self.wire = wire
        self.connects += 1
        self._beat = self._loop.call_later(self._timing.heartbeat, self._heartbeat)
        self._owner.link_up(self, wire)

    # --- watching

    def _heartbeat(self) -> None:
        wire = self.wire
        if wire is not None:
            self._beat = self._loop.call_later(self._timing.heartbeat, self._heartbeat)
            if wire.silent:
                return
            sent = self._clock.monotonic()

            def heard(reply: Any) -> None:
                if isinstance(reply, list):
                    self.server_clock.heard(reply, sent, self._clock.monotonic())

            wire.send(_TIME, Callback(heard, heard))

    def pushed(self, push: list[Any], head: Waiter | None) -> bool:
        """A push came."""
        return self.subscriptions.pushed(push, head)

    def overdue(self) -> Exception:
        """The error for a server that doesn't answer."""
        reason = f"no answer within {self._timing.timeout:g} s"
        return RedisTimeoutError(self._name, self.address.text, reason)

    def silent(self, wire: Wire) -> Exception | None:
        """The server is late; one that is only greeted yet is given up."""
        if wire is not self.wire:
            return None
        told = self.overdue()
        self.reason = self._words(told)
        self._owner.link_silent(self, told)
        return told

    def heard(self, wire: Wire) -> None:
        """It answers again."""
        if wire is self.wire:
            self._owner.link_up(self, wire)

    def lost(self, wire: Wire, error: Exception) -> Exception:
        """The connection is gone."""
        reason = self._words(error)
        told = error
        if not isinstance(error, RedisUnavailableError):
            told = RedisUnavailableError(self._name, self.address.text, reason)
        if wire is self.wire:
            self.wire = None
            self.reason = reason
            if self._beat is not None:
                self._beat.cancel()
            self._lost.set()
            self._owner.link_down(self, wire, told)
        return told

    def _refused(self, text: str) -> Exception:
        error = RedisCommandError(self._name, self.address.text, text)
        if self._locate is not None and error.server_code == "READONLY" and self.wire is not None:
            # It was the primary once. Who asked is told first.
            self._loop.call_soon(self.wire.lose, ConnectionError("it is a replica now"))
        return error

    def _words(self, error: Exception) -> str:
        if isinstance(error, RedisUnavailableError):
            return error.reason
        if isinstance(error, RedisCommandError):
            return error.text
        if isinstance(error, TimeoutError):
            return f"no connection within {self._timing.connect_timeout:g} s"
        if isinstance(error, AuthenticationError) or "already authenticated" in str(error):
            return "the server refused the user or the password in the URL, or asks for one"
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if not isinstance(error, (OSError, PeerError, RedisError)):
            words = f"{type(error).__name__}: {words}"
        return self.address.hidden(words or type(error).__name__)
