"""The one file that reaches into redis-py: it opens and greets, then hands its transport over.

redis-py does what is long and solved: TCP, TLS, Unix sockets, AUTH, HELLO, CLIENT SETNAME, SELECT. Its stream reader
and its parser are then taken out, because waiting for one answer at a time is what makes it slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, cast

from redis.asyncio.connection import AbstractConnection


class Taker(asyncio.Protocol):
    """A protocol that keeps what opened its transport alive."""

    opened_by: object = None


P = TypeVar("P", bound=Taker)


class HandoverError(Exception):
    """This redis-py is made differently inside."""


async def open_and_take(connection: AbstractConnection, protocol: Callable[[], P]) -> P:
    """Open `connection`, greet the server, and put a new `protocol` in redis-py's place.

    The protocol's `connection_made` gets the transport, its `data_received` whatever was read beyond the greeting.
    Raises what redis-py raises. When it raises or is cancelled, nothing is left open.
    """
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        return _take(connection, protocol)
    except BaseException:
        drop(connection)
        raise


def drop(connection: AbstractConnection) -> None:
    """Abort whatever `connection` has open."""
    writer = cast("asyncio.StreamWriter | None", getattr(connection, "_writer", None))
    if writer is not None:
        writer.transport.abort()
        connection._writer = connection._reader = None


def _take(connection: AbstractConnection, protocol: Callable[[], P]) -> P:
    try:
        reader, writer = connection._reader, connection._writer
        buffer = reader._buffer  # type: ignore[union-attr]
        parser = connection._parser._reader  # type: ignore[attr-defined]
        unparsed = parser.has_data()
        ended = reader._eof  # type: ignore[union-attr]
        transport = cast("asyncio.Transport", writer.transport)  # type: ignore[union-attr]
    except AttributeError as error:
        message = f"redis-py changed inside: {error}; pin redis to a version that seawall names, and tell us"
        raise HandoverError(message) from error
    if unparsed:
        message = "the server sent more than it was asked for while it was greeted"
        raise HandoverError(message)
    if ended or transport.is_closing():
        message = "the server closed the connection"
        raise ConnectionResetError(message)
    taken = protocol()
    transport.set_protocol(taken)
    taken.connection_made(transport)
    # A writer that is collected closes its transport, so it lives as long as that.
    taken.opened_by = writer
    connection._writer = connection._reader = None
    if buffer:
        taken.data_received(bytes(buffer))
        buffer.clear()
    transport.resume_reading()
    return taken
