"""The client: one connection for all callers of a process, or of an event loop, rather."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self

from seawall.core import SYSTEM_CLOCK, Clock, Events, Health, Status
from seawall.core.options import number
from seawall.redis.address import Address
from seawall.redis.early import Early
from seawall.redis.errors import RedisError, RedisUnavailableError
from seawall.redis.events import RedisConnected, RedisLost
from seawall.redis.link import Link, Timing
from seawall.redis.script import Script, ScriptCall
from seawall.redis.sentinel import Sentinels
from seawall.redis.subscriptions import Listener, Subscriptions, subscribe, unsubscribe
from seawall.redis.watchers import Watchers
from seawall.redis.wire import Callback, Value, Waiter, Wire, pack

_running = asyncio.get_running_loop


@dataclass(frozen=True, kw_only=True)
class RedisStatistics:
    """A picture of this moment. `lost` counts connections, `round_trip` is the last heartbeat's, in seconds."""

    connected: bool
    generation: int
    sent: int
    batches: int
    lost: int
    reconnects: int
    in_flight: int
    round_trip: float | None


class Redis:
    """Redis or Valkey over one connection, shared by every task of an event loop.

        async with Redis("redis://127.0.0.1:6379/0") as redis:
            await redis.get(b"key")
            await redis.execute("SET", "key", b"value", "EX", 60)

    url: as redis-py takes it: redis://, rediss:// (TLS) or unix://, with user, password and database.
    timeout: seconds from a command to its answer, after which the server counts as gone. 0.04, so that a cache in
        front of it costs a caller 50 ms at worst; far above the longest command of your own, and the round trip.
    heartbeat: seconds between two looks at a server nobody talks to.
    connect_timeout: seconds for one attempt to connect, greeting included.

    Entering never raises because the server is away: it waits for one attempt, then goes on, and connects when the
    server is back. While it is away every command raises `RedisUnavailableError` at once, where it is called; only
    during the first attempt commands wait, `timeout` seconds at most. Commands under way when the connection is lost
    fail with the same error, with `RedisTimeoutError` if the server fell silent; the server may have run them.

    A caller that is cancelled leaves at once; its command is sent all the same and its answer dropped. Answers are
    handed out in the order of the commands, and messages of channels among them as the server sent them. Use it from
    the event loop that entered it only.

    Raises `OptionError` for a URL that is none.
    """

    sharded: ClassVar[bool] = False
    """Whether keys are spread over several servers, so that one script can't touch any two of them."""

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        *,
        name: str = "redis",
        timeout: float = 0.04,
        heartbeat: float = 0.5,
        connect_timeout: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
        events: Events | None = None,
    ) -> None:
        number("Redis", "timeout", timeout, above=0)
        number("Redis", "heartbeat", heartbeat, above=0)
        number("Redis", "connect_timeout", connect_timeout, above=0)
        self.name = name
        self.timeout = timeout
        self.events = Events() if events is None else events
        self.generation = 0
        """How many connections were lost so far; what was read under another number may be out of date."""
        self._address = Address.of("Redis", url)
        self._timing = Timing(timeout=timeout, heartbeat=heartbeat, connect_timeout=connect_timeout)
        self._clock = clock
        self._scripts: dict[bytes, Script] = {}
        self._subscriptions = Subscriptions()
        self._watchers = Watchers()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: Link | None = None
        self._wire: Wire | Early | None = None
        self._locate: Callable[[], Awaitable[Address]] | None = None
        self._sent = self._batches = 0
        self._told = False

    @classmethod
    def sentinel(
        cls,
        sentinels: Sequence[str],
        service: str,
        *,
        url: str = "redis://sentinel/0",
        sentinel_url: str = "redis://sentinel",
        **options: Any,
    ) -> Self:
        """The primary of `service`, found by asking `sentinels` (`["10.0.0.1:26379", …]`) with each connect.

        url, sentinel_url: how the servers and the sentinels are greeted (TLS, user, password, database); the host in
        them is replaced. A connection is made only to a server that takes itself for the primary too; one that
        answers READONLY is left. `options` are those of `Redis`.
        """
        redis = cls(url, **options)
        greeting = Address.of("Redis.sentinel", sentinel_url)
        redis._locate = Sentinels(sentinels, service, greeting, redis._address, redis._timing.connect_timeout)
        return redis

    @staticmethod
    def cluster(url: str, **options: Any) -> Redis:
        """The cluster of the node at `url`: a connection to each primary. `options` are those of `Redis`."""
        from seawall.redis.cluster import RedisCluster  # noqa: PLC0415 - it is made of this class

        return RedisCluster(url, **options)

    # --- commands

    def get(self, key: bytes) -> asyncio.Future[bytes | None]:
        """The value of `key`; None where there is none, or no string.

        The GETs of one step of the event loop travel as one MGET.
        """
        wire, loop = self._wire, _running()
        if wire is None or loop is not self._loop:
            self._refuse()
        future: asyncio.Future[bytes | None] = loop.create_future()
        wire.get(key, future)
        return future

    def get_then(self, key: bytes, on_reply: Callable[[Any], object]) -> None:
        """As `get`, but `on_reply` is called with the value or the error, in the very order of answers and messages."""
        self._ready().get(key, Callback(on_reply, on_reply))

    def execute(self, *args: Value) -> asyncio.Future[Any]:
        """The server's answer to a command, `execute("SET", key, value)`; what RESP3 calls a map is a dict.

        Raises `RedisCommandError`, by the future, where the answer is an error.
        """
        future: asyncio.Future[Any] = _running().create_future()
        self._send(args, future)
        return future

    def execute_then(self, args: Sequence[Value], on_reply: Callable[[Any], object]) -> None:
        """As `execute`, but `on_reply` is called with the answer or the error, in the order of answers and messages."""
        self._send(tuple(args), Callback(on_reply, on_reply))

    def run(self, script: Script, keys: Sequence[Value] = (), args: Sequence[Value] = ()) -> asyncio.Future[Any]:
        """The result of `script`, whose source is sent the first time, and again to a server that has forgotten it."""
        future: asyncio.Future[Any] = _running().create_future()
        self._run(script, keys, args, future)
        return future

    def run_then(
        self, script: Script, keys: Sequence[Value], args: Sequence[Value], on_reply: Callable[[Any], object]
    ) -> None:
        """As `run`, but `on_reply` is called with the result or the error, in the order of answers and messages.

        The order is that in which the server ran it: later than commands sent after it, where the source had to follow.
        """
        self._run(script, keys, args, Callback(on_reply, on_reply))

    def register(self, *scripts: Script) -> None:
        """Load `scripts` with each connect; `run` does it for those it has run."""
        self._scripts.update((script.sha1, script) for script in scripts)

    # --- messages and changes

    def subscribe(self, channel: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every message of `channel`, until the function returned is called.

        It runs while the socket is read, between the answers before and after the message, so it must not block;
        what it raises is logged. Commands sent later are answered later than the subscription. It holds across
        connections, but messages sent while there is none are lost: `watch` tells when.
        """
        encoded = channel.encode()
        link = self._link
        if self._subscriptions.add(encoded, listener) and link is not None and link.wire is not None:
            subscribe(link.wire, [encoded])

        def leave() -> None:
            link = self._link
            if self._subscriptions.remove(encoded, listener) and link is not None and link.wire is not None:
                unsubscribe(link.wire, [encoded])

        return leave

    def watch(self, up: Callable[[], object], down: Callable[[Exception], object]) -> Callable[[], None]:
        """Call `up` with each connect and `down` with each loss, until the function returned is called.

        `up` runs when scripts are loaded and channels subscribed, before anybody else sees the connection; `down`
        once for each `up`, before anybody who waits for an answer hears of it. What they raise is logged.
        """
        return self._watchers.add(up, down)

    # --- state

    @property
    def connected(self) -> bool:
        """Whether commands are answered."""
        return self._link is not None and self._link.wire is not None and not self._link.wire.silent

    def patience(self) -> float:
        """Seconds until a command that is sent now may be given up: what was sent before it is late by then."""
        link = self._link
        return self.timeout if link is None or link.wire is None else link.wire.patience()

    @property
    def address(self) -> str:
        """The server's host:port."""
        return self._address.text if self._link is None else self._link.address.text

    def server_time(self) -> float | None:
        """The server's clock now, in seconds since the epoch, give or take half a round trip; None if never heard."""
        return None if self._link is None else self._link.server_clock.time(self._clock.monotonic())

    def statistics(self) -> RedisStatistics:
        """A frozen picture of this moment."""
        link = self._link
        wire = None if link is None else link.wire
        return RedisStatistics(
            connected=self.connected,
            generation=self.generation,
            sent=self._sent + (0 if wire is None else wire.sent),
            batches=self._batches + (0 if wire is None else wire.batches),
            lost=self.generation,
            reconnects=max(0, 0 if link is None else link.connects - 1),
            in_flight=0 if self._wire is None else self._wire.in_flight,
            round_trip=None if link is None else link.server_clock.round_trip,
        )

    async def check(self) -> Health:
        """Healthy when the server answers a PING, degraded when it doesn't: whoever uses it goes on without."""
        try:
            began = self._clock.monotonic()
            await self.execute("PING")
        except RedisError as error:
            return Health(status=Status.DEGRADED, message=error.message)
        took = self._clock.monotonic() - began
        return Health(status=Status.HEALTHY, message=f"Redis at {self.address} answers in {1000 * took:.1f} ms")

    # --- life

    async def __aenter__(self) -> Self:
        if self._link is not None:
            message = f"{self.name!r} is entered already; it can be shared, but entered once"
            raise RuntimeError(message)
        self._loop = _running()
        self._link = link = self._make_link()
        self._wire = Early(self._loop, self.timeout, self._started)
        link.start()
        try:
            await link.tried()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._started()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        link = self._link
        if link is not None:
            link.reason = "it was closed"
            self._started()
            await link.stop()
            self._link = None

    def link_up(self, link: Link, wire: Wire) -> None:
        """A connection is there."""
        early, self._wire = self._wire, wire
        self._watchers.up()
        self._told = True
        if self.events.listeners:
            self.events.emit(RedisConnected(name=self.name, address=self.address, generation=self.generation))
        if isinstance(early, Early):
            early.pass_on(wire)

    def link_silent(self, link: Link, error: Exception) -> None:
        """Nobody waits for it any more, but it may speak again, and then nothing was lost."""
        self._wire = None
        self._told = False
        self._watchers.down(error)
        if self.events.listeners:
            self.events.emit(RedisLost(name=self.name, address=self.address, reason=link.reason))

    def link_down(self, link: Link, wire: Wire, error: Exception) -> None:
        """It is gone."""
        self._wire = None
        self.generation += 1
        self._sent += wire.sent
        self._batches += wire.batches
        if not self._told:
            return  # it was silent before
        self._told = False
        self._watchers.down(error)
        if self.events.listeners:
            self.events.emit(RedisLost(name=self.name, address=self.address, reason=link.reason))

    def _make_link(self) -> Link:
        return Link(
            self,
            self.name,
            self._address,
            self._timing,
            self._clock,
            locate=self._locate,
            scripts=self._scripts,
            subscriptions=self._subscriptions,
        )

    def _started(self) -> None:
        """The first attempt is over, or took too long for those who wait."""
        early = self._wire
        if isinstance(early, Early):
            self._wire = None
            early.refuse(self._unavailable())

    def _run(self, script: Script, keys: Sequence[Value], args: Sequence[Value], waiter: Waiter) -> None:
        rest = (len(keys), *keys, *args)
        if script.sha1 in self._scripts:
            self._send((b"EVALSHA", script.sha1, *rest), ScriptCall(script, rest, waiter, self._send))
        else:
            self._send((b"EVAL", script.source, *rest), waiter)
            self._scripts[script.sha1] = script

    def _send(self, args: tuple[Value, ...], waiter: Waiter) -> None:
        self._ready().send(pack(args), waiter)

    def _ready(self) -> Wire | Early:
        wire = self._wire
        if wire is None or _running() is not self._loop:
            self._refuse()
        return wire

    def _refuse(self) -> NoReturn:
        if self._loop is None:
            message = f"{self.name!r} isn't entered; write `async with redis:` around what uses it"
            raise RuntimeError(message)
        if _running() is not self._loop:
            message = (
                f"{self.name!r} belongs to another event loop, the one that entered it; make one Redis for each loop, "
                "or come back to that one with asyncio.run_coroutine_threadsafe"
            )
            raise RuntimeError(message)
        raise self._unavailable()

    def _unavailable(self) -> RedisUnavailableError:
        reason = "it was closed" if self._link is None else self._link.reason
        return RedisUnavailableError(self.name, self.address, reason)

    def __repr__(self) -> str:
        return f"Redis({self.name!r}, {self.address}{', connected' if self.connected else ''})"
