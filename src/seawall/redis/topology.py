"""Which primary has which slots of a cluster: its own nodes say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from redis.crc import key_slot

from seawall.redis.address import Address
from seawall.redis.wire import Value

SLOTS = 16384

Node = tuple[str, int]

_WITHOUT_KEY = frozenset(
    b"PING ECHO TIME INFO PUBLISH SCRIPT CLUSTER CLIENT CONFIG COMMAND DBSIZE KEYS SCAN RANDOMKEY FLUSHDB FLUSHALL "
    b"ROLE WAIT ACL LATENCY SLOWLOG LASTSAVE FUNCTION LOLWUT".split()
)
_KEY_IS_THIRD = frozenset(b"OBJECT XINFO XGROUP MEMORY BITOP".split())
_KEY_AFTER_COUNT = frozenset(b"EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO".split())
_KEY_AFTER_STREAMS = frozenset(b"XREAD XREADGROUP".split())


@dataclass(frozen=True, kw_only=True)
class Topology:
    """What one node said: each range of slots with its primary, and every node there is."""

    epoch: int
    ranges: list[tuple[int, int, Node]] = field(default_factory=list)
    nodes: set[Node] = field(default_factory=set)


def slot_of(args: tuple[Value, ...]) -> int | None:
    """The slot of a command's first key; None where it has none."""
    name = _bytes(args[0]).upper()
    place = 1
    if name in _WITHOUT_KEY:
        return None
    if name in _KEY_IS_THIRD:
        place = 2
    elif name in _KEY_AFTER_COUNT:
        if len(args) < 4 or not int(args[2]):  # noqa: PLR2004 - name, script, count, key
            return None
        place = 3
    elif name in _KEY_AFTER_STREAMS:
        place = [_bytes(each).upper() for each in args].index(b"STREAMS") + 1
    return key_slot(_bytes(args[place])) if place < len(args) else None


async def survey(addresses: Iterable[Address], client_name: str, timeout: float) -> Topology:
    """Ask all at once; what the node with the highest epoch says is believed, for it took part in the last change.

    Raises what the last one raised when none knows, within `timeout` seconds.
    """
    asked = [asyncio.create_task(_ask(address, client_name, timeout)) for address in addresses]
    try:
        await asyncio.wait(asked, timeout=timeout)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    found = [task.result() for task in asked if not task.cancelled() and task.exception() is None]
    if found:
        return max(found, key=lambda topology: topology.epoch)
    for task in asked:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
    raise TimeoutError


async def _ask(address: Address, client_name: str, timeout: float) -> Topology:
    connection: Any = address.connection(client_name, timeout)
    try:
        await connection.connect()
        await connection.send_command("CLUSTER", "INFO")
        await connection.send_command("CLUSTER", "SLOTS")
        info: bytes | str = await connection.read_response()
        slots: list[Any] = await connection.read_response()
        host: str = getattr(connection, "host", "")
    finally:
        await connection.disconnect(nowait=True)
    told = dict(line.split(":", 1) for line in _text(info).split() if ":" in line)
    if told.get("cluster_state") != "ok" and not slots:
        message = "the cluster is down by its own account"
        raise ConnectionError(message)

    def node(entry: list[Any]) -> Node:
        # A node that doesn't know how it is reached leaves its host empty.
        return _text(entry[0] or b"") or host, int(entry[1])

    return Topology(
        epoch=int(told.get("cluster_current_epoch", 0)),
        ranges=[(int(first), int(last), node(primary)) for first, last, primary, *_ in slots],
        nodes={node(entry) for _, _, *entries in slots for entry in entries},
    )


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
