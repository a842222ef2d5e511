"""How a caller's position travels: signed, in a cookie, a header, or a job's payload.

    floor|nodes|clock|flag.signature        1:0/4039508|3f2a90c1d2e4@71529113|9d04c1aa|-.kX0…

`floor` is what its reads must have. The nodes, hashes of their names and starts, are the servers it read last, and
when, in milliseconds, where it wasn't known yet how far they were. On the machine whose clock that is, a probe since
then tells; elsewhere the same server goes on serving it, as long as it wasn't restarted; else the primary does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
import socket
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from seawall.core import Clock, OptionError
from seawall.database.node import Node
from seawall.database.position import Position
from seawall.database.routing import Caller, NodeState, Role

MOST = 4
"""Servers that a text names; a caller who has read from more of them at a time is served by the primary."""
_NONE = "-"
_STRICT = "!"


class Signer:
    """Signs texts with a key, so that nobody else can make them; HMAC-SHA256, 128 bits."""

    def __init__(self, key: str | bytes | None = None) -> None:
        given = secrets.token_bytes(32) if key is None else key.encode() if isinstance(key, str) else key
        self._key = hashlib.sha256(b"seawall position" + given).digest()

    def sign(self, text: str) -> str:
        """`text` with its signature."""
        return f"{text}.{self._mac(text)}"

    def verify(self, signed: str) -> str | None:
        """The text, None if somebody else signed it."""
        text, _, mac = signed.rpartition(".")
        return text if mac.isascii() and hmac.compare_digest(mac, self._mac(text)) else None

    def _mac(self, text: str) -> str:
        digest = hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")[:16]
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def pack(caller: Caller) -> str:
    """What `caller` must be served with, as text."""
    caller.settle()
    floor = _NONE if caller.floor is None else str(caller.floor)
    seen = [] if caller.seen is None else [(caller.seen, caller.seen_at)]
    read = [*caller.mixed, *seen]
    # A moment later is as true, and bounds more.
    nodes = ",".join(f"{_id(node)}@{math.ceil(moment * 1000)}" for node, moment in read[-MOST:]) or _NONE
    flag = _STRICT if caller.strict or len(read) > MOST else _NONE
    return f"{floor}|{nodes}|{_clock()}|{flag}"


def unpack(packed: str | None, nodes: Iterable[Node], primary: Node | None, clock: Clock) -> Caller:
    """The caller that `pack` wrote. What can't be read, or names a server that is gone, is served by the primary."""
    caller = Caller()
    read: list[tuple[str, float]] = []
    now = clock.monotonic()
    try:
        floor, listed, whose, flag = (packed or "").split("|")
        if floor != _NONE:
            caller.floor = Position.parse(floor)
        for node, _, milliseconds in (each.partition("@") for each in listed.split(",") if listed != _NONE):
            at = int(milliseconds) / 1000
            read.append((node, min(now, at) if whose == _clock() else now))
    except (ValueError, OptionError):
        read, flag = [("?", now)], _NONE
    caller.strict = flag == _STRICT
    known = {_id(node.state): node.state for node in nodes} if read else {}
    for node, moment in read:
        if node in known:
            caller.read(known[node], moment)
        # As if it had read from the primary just now: that is newer than whatever it has seen.
        elif primary is None or primary.state.role is not Role.PRIMARY:
            caller.strict = True
        else:
            caller.read(primary.state, now)
    return caller


@cache
def _clock() -> str:
    """The same text in all processes whose monotonic clocks show the same, which those of one running Linux do."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        clocks = Path("/proc/self/ns/time").stat().st_ino
    except OSError:
        return secrets.token_hex(4)
    return hashlib.sha256(f"{boot}#{clocks}#{socket.gethostname()}".encode()).hexdigest()[:8]


class Admitted(NamedTuple):
    """A caller that is being served."""

    caller: Caller
    signer: Signer

    def token(self) -> str | None:
        """What to hand in next time; None if nothing was read or written."""
        caller = self.caller
        caller.settle()
        if caller.floor is None and caller.seen is None and not caller.strict:
            return None
        return self.signer.sign(pack(caller))


def _id(state: NodeState) -> str:
    return hashlib.sha256(f"{state.name}#{state.incarnation}".encode()).hexdigest()[:12]
