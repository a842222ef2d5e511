"""One connection: many callers' commands in one write, replies matched by their order, pushes in between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import hiredis

from seawall.redis.errors import RedisCommandError
from seawall.redis.handover import Taker

Value = bytes | str | int | float
FOLD_LIMIT = 200
"""Most keys in one MGET: an answer is of use once it is there whole, and the server does nothing else meanwhile."""

PATIENCE = 1 / 8
"""The part of the timeout that an overdue server is given to show that more of its answer is coming."""

SILENCE = 25
"""The connection of a server that says nothing at all is given up after so many timeouts; after one, nobody waits."""

_NOTHING = object()
_ERROR = RedisCommandError
_PUSH = hiredis.PushNotification
_now = time.monotonic  # uvloop's own clock stands still while a callback runs
pack = cast("Callable[[tuple[Value, ...]], bytes]", hiredis.pack_command)


class Waiter(Protocol):
    """Whoever waits for a reply; futures are, and callbacks in a `Callback`."""

    def set_result(self, value: Any, /) -> object:
        """Take the reply."""

    def set_exception(self, error: Any, /) -> object:
        """Take the server's error, or the loss of the connection."""


@dataclass(slots=True, eq=False)
class Callback:
    """A waiter that is a function: called with the reply, or with the error."""

    set_result: Callable[[Any], object]
    set_exception: Callable[[Any], object]


class _Gone:
    """Stands in the row of replies for a waiter who was told that there is none."""

    def set_result(self, value: Any) -> None:
        """Nobody hears it."""

    set_exception = set_result


_GONE = _Gone()


class Fold:
    """The waiters of several GETs that were sent as one MGET."""

    __slots__ = ("_waiters",)

    def __init__(self, waiters: list[Waiter]) -> None:
        self._waiters = waiters

    def set_result(self, values: list[Any]) -> None:
        """Hand each its own."""
        for waiter, value in zip(self._waiters, values, strict=True):
            try:
                waiter.set_result(value)
            except asyncio.InvalidStateError:
                pass  # its caller was cancelled
            except Exception as error:  # noqa: BLE001
                _report(error)

    def set_exception(self, error: Exception) -> None:
        """Hand each an error of its own, for a traceback grows with every task that raises it."""
        for waiter in self._waiters:
            refuse(waiter, type(error)(*error.args))


class Watch(Protocol):
    """What a wire tells its owner."""

    def pushed(self, push: list[Any], head: Waiter | None) -> bool:
        """A push came; `head` waits for the next reply. True: the push was its reply."""
        ...

    def lost(self, wire: Wire, error: Exception) -> Exception:
        """The connection is gone. Called once, before any waiter hears of it; returns what they are told."""
        ...

    def silent(self, wire: Wire) -> Exception | None:
        """The server is late. Returns what those who wait are told; None gives the connection up at once."""
        ...

    def heard(self, wire: Wire) -> None:
        """A silent server has answered all it was asked."""
        ...

    def overdue(self) -> Exception:
        """The error for a server that doesn't answer."""
        ...


class Wire(Taker):
    """A connection of an owner, from its handshake to its loss; never used again after that.

    Commands of one step of the loop go out in one write at its end, runs of GETs among them as MGET. Nothing is
    awaited, nothing is scheduled for a single command but the future its caller waits for.

    timeout: seconds from a write to its last reply. One timer looks at the oldest write only. A server that is late
        is heard once more before it is judged (it was perhaps this loop that stood still), and is left alone as
        long as pieces of its answer keep coming. Then it is `silent`: whoever waits is told so, and its answers,
        should they come, go to nobody. The connection is kept for `SILENCE` timeouts, for nothing is lost on it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        watch: Watch,
        timeout: float,
        command_error: Callable[[str], Exception],
        *,
        folds: bool = True,
    ) -> None:
        reader = hiredis.Reader(replyError=command_error, notEnoughData=_NOTHING)
        self._reader = reader
        self._feed, self._gets = reader.feed, reader.gets
        self._loop = loop
        self._watch = watch
        self._timeout = timeout
        self._fold_limit = FOLD_LIMIT if folds else 1
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Waiter] = deque()
        self._buffer: list[bytes] = []
        self._keys: list[bytes] = []
        self._getters: list[Waiter] = []
        self._scheduled = False
        self._writes: deque[tuple[float, int]] = deque()
        self._suspected: tuple[int, int, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.silent = False
        self.error: Exception | None = None
        """Why it is lost; None while it isn't."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when the socket is closed."""
        self.answered = 0
        self.batches = 0

    @property
    def in_flight(self) -> int:
        """Commands without a reply."""
        return len(self._waiting) + len(self._getters)

    @property
    def sent(self) -> int:
        """Commands written, an MGET being one."""
        return self.answered + len(self._waiting)

    # --- commands

    def get(self, key: bytes, waiter: Waiter) -> None:
        """GET `key` for `waiter`: its value, or None where there is none."""
        self._keys.append(key)
        self._getters.append(waiter)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def send(self, packed: bytes, waiter: Waiter) -> None:
        """Send a command; `waiter` gets the reply."""
        if self._keys:
            self._fold()
        self._buffer.append(packed)
        self._waiting.append(waiter)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def execute(self, args: Sequence[Value]) -> asyncio.Future[Any]:
        """Send a command and return the future of its reply."""
        future = self._loop.create_future()
        self.send(pack(tuple(args)), future)
        return future

    def _fold(self) -> None:
        keys, getters = self._keys, self._getters
        self._keys, self._getters = [], []
        limit = self._fold_limit
        for start in range(0, len(keys), limit):
            some = keys[start : start + limit]
            if len(some) == 1:
                key = some[0]
                self._buffer.append(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key))
                self._waiting.append(getters[start])
            else:
                self._buffer.append(pack((b"MGET", *some)))
                self._waiting.append(Fold(getters[start : start + limit]))

    def _flush(self) -> None:
        self._scheduled = False
        if self._keys:
            self._fold()
        transport, buffer = self._transport, self._buffer
        if transport is None or self.error is not None:
            return
        transport.write(buffer[0] if len(buffer) == 1 else b"".join(buffer))
        buffer.clear()
        self.batches += 1
        now = _now()
        self._writes.append((now, self.answered + len(self._waiting)))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look)

    # --- replies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Hand out replies and pushes, in the order in which the server sent them."""
        if self.error is not None:
            return
        gets, popleft = self._gets, self._waiting.popleft
        answered = self.answered
        try:
            self._feed(data)
            while (value := gets()) is not _NOTHING:
                kind = value.__class__
                if kind is _PUSH:
                    waiting = self._waiting
                    if self.error is not None:
                        return
                    if not self._watch.pushed(value, waiting[0] if waiting else None):
                        continue
                waiter = popleft()
                answered += 1
                try:
                    if kind is _ERROR:
                        waiter.set_exception(value)
                    else:
                        waiter.set_result(value)
                except asyncio.InvalidStateError:
                    pass  # its caller was cancelled
                except Exception as error:  # noqa: BLE001
                    _report(error)
        except (hiredis.ProtocolError, IndexError) as error:
            self.lose(ConnectionError(f"it sent what is no answer: {error}"))
        self.answered = answered
        writes = self._writes
        while writes and writes[0][1] <= answered:
            writes.popleft()
        if self.silent and not self._waiting and self.error is None:
            self._end_silence()

    def patience(self) -> float:
        """Seconds until a command that is sent now may be given up."""
        return self._timeout if not self._writes else max(0.0, self._writes[0][0] + self._timeout - _now())

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed."""
        self.lose(exc or ConnectionResetError("the server closed the connection"))
        if not self.closed.done():
            self.closed.set_result(None)

    def lose(self, error: Exception) -> None:
        """Give the connection up: the owner hears of it, then everybody who waits. Harmless when it is lost."""
        if self.error is not None:
            return
        self.error = error
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        told = self._watch.lost(self, error)
        waiters = [*self._waiting, *self._getters]
        self._waiting.clear()
        self._keys, self._getters = [], []
        self._buffer.clear()
        self._writes.clear()
        for waiter in waiters:
            refuse(waiter, type(told)(*told.args))

    # --- time

    def allow(self, timeout: float) -> None:
        """From now on the server has `timeout` seconds."""
        self._timeout = timeout
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writes:
            self._timer = self._loop.call_later(self.patience(), self._look)

    def _end_silence(self) -> None:
        self.silent = False
        self._suspected = None
        if self._timer is not None:  # it was set for the silence
            self._timer.cancel()
            self._timer = None
        self._watch.heard(self)

    def _fall_silent(self) -> bool:
        told = self._watch.silent(self)
        if told is None:
            return False
        self.silent = True
        if self._keys:
            self._fold()
        waiting = list(self._waiting)
        self._waiting.clear()
        self._waiting.extend(waiter if _keeps_its_place(waiter) else _GONE for waiter in waiting)
        for waiter in waiting:
            if not _keeps_its_place(waiter):
                refuse(waiter, type(told)(*told.args))
        return True

    def _look(self) -> None:
        """Look at the oldest write without a reply."""
        late = 0.0 if self._timer is None else max(0.0, self._loop.time() - self._timer.when())
        self._timer = None
        writes = self._writes
        if not writes:
            self._suspected = None
            return
        now = _now()
        due = writes[0][0] + self._timeout
        if now >= due:
            reader, transport = self._reader, self._transport
            partial = reader.len() if reader.has_data() else 0
            seen = (self.answered, partial, transport.get_write_buffer_size() if transport is not None else 0)
            if seen == self._suspected:
                if self.silent or not self._fall_silent():
                    self.lose(self._watch.overdue())
                    return
                due = now + self._timeout * SILENCE
            else:
                self._suspected = seen
                # Every event loop reads its sockets between two timers. Where this one was late, the server, perhaps
                # on the same machine, may have been as late.
                due = now + self._timeout * (SILENCE if self.silent else PATIENCE) + min(late, self._timeout)
        else:
            self._suspected = None
        self._timer = self._loop.call_later(due - now, self._look)


def _keeps_its_place(waiter: Waiter) -> bool:
    return getattr(waiter, "lasting", False)


def refuse(waiter: Waiter, error: Exception) -> None:
    """Fail `waiter`, unless its caller has gone."""
    try:
        waiter.set_exception(error)
        if isinstance(waiter, asyncio.Future):
            waiter.exception()  # seen: who awaits nothing needs no telling that the connection was lost
    except asyncio.InvalidStateError:
        pass
    except Exception as wrong:  # noqa: BLE001
        _report(wrong)


def _report(error: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": "a callback of seawall.redis failed", "exception": error}
    )
