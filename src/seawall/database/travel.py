"""How a caller's position travels: signed, in a cookie, a header, or a job's payload.

    floor|node|flag.signature        1:0/4039508|3f2a90c1d2e4|-.kX0…

`floor` is what its reads must have. The node, a hash of its name and start, is the server it read last when it wasn't
known yet how far that was: the same server goes on serving it, as long as it wasn't restarted; else the primary does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from seawall.core import Clock, OptionError
from seawall.database.node import Node
from seawall.database.position import Position
from seawall.database.routing import Caller, NodeState, Role

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
    node = _NONE if caller.seen is None else _id(caller.seen)
    return f"{floor}|{node}|{_STRICT if caller.strict or caller.mixed else _NONE}"


def unpack(packed: str | None, nodes: Iterable[Node], primary: Node | None, clock: Clock) -> Caller:
    """The caller that `pack` wrote. What can't be read, or names a server that is gone, is served by the primary."""
    caller = Caller()
    try:
        floor, node, flag = (packed or "").split("|")
        if floor != _NONE:
            caller.floor = Position.parse(floor)
    except (ValueError, OptionError):
        node, flag = "?", _NONE
    caller.strict = flag == _STRICT
    if node != _NONE:
        now = clock.monotonic()
        for known in nodes:
            if node == _id(known.state):
                caller.read(known.state, now)
                return caller
        # As if it had read from the primary just now: that is newer than whatever it has seen.
        if primary is None or primary.state.role is not Role.PRIMARY:
            caller.strict = True
        else:
            caller.read(primary.state, now)
    return caller


def _id(state: NodeState) -> str:
    return hashlib.sha256(f"{state.name}#{state.incarnation}".encode()).hexdigest()[:12]
