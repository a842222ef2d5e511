"""Which of a cluster's 16,384 hash slots a command goes to, and what the nodes say about who serves them.

Source: the Redis Cluster specification, https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot

from seawall.redis.wire import Value

__all__ = ["SLOTS", "Redirection", "View", "slot_of"]


def _names(text: str) -> Iterable[bytes]:
    return text.encode().split()


_KEYLESS = frozenset(
    _names(
        "PING ECHO TIME PUBLISH PUBSUB SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE INFO CONFIG CLIENT CLUSTER "
        "COMMAND SCRIPT FUNCTION ROLE DBSIZE SCAN KEYS RANDOMKEY FLUSHALL FLUSHDB WAIT ACL LATENCY SLOWLOG MODULE "
        "ASKING HELLO SAVE BGSAVE LASTSAVE DEBUG"
    )
)
_SECOND = frozenset(_names("OBJECT MEMORY XINFO XGROUP BITOP"))
_COUNTED = {
    **dict.fromkeys(_names("EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO BLMPOP BZMPOP"), 2),
    **dict.fromkeys(_names("LMPOP ZMPOP SINTERCARD ZINTERCARD ZUNION ZINTER ZDIFF"), 1),
}
"""Where the number of keys stands that come next."""


def slot_of(args: Sequence[Value]) -> int | None:
    """The hash slot of the first key of a command; None for one without keys.

    A command this file knows nothing of has its key first. Where that is wrong, the server names the right slot.
    """
    name = _bytes(args[0]).upper()
    if name in _KEYLESS:
        return None
    at = 1
    if name in _COUNTED:
        at = _COUNTED[name]
        if len(args) <= at or _bytes(args[at]) == b"0":
            return None
        at += 1
    elif name in _SECOND:
        at = 2
    elif name in {b"XREAD", b"XREADGROUP"}:
        at = next((place for place, each in enumerate(args, 1) if _bytes(each).upper() == b"STREAMS"), 1)
    return key_slot(_bytes(args[at])) if len(args) > at else None


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@dataclass(frozen=True, slots=True)
class View:
    """What one node believes: who serves which slots, whether the cluster works, and how recent that is (its epoch).

    Of several views the greatest by `rank` counts: a node that is cut off from the others knows less than they.
    """

    ranges: tuple[tuple[int, int, str, int], ...]
    """First and last slot, host and port of their primary."""
    works: bool
    epoch: int

    @classmethod
    def of(cls, slots: list[Any], info: bytes | str, host: str) -> View:
        """From the answers to CLUSTER SLOTS and CLUSTER INFO of the node at `host`."""
        text = info if isinstance(info, str) else info.decode()
        said = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        ranges = tuple((first, last, _host(primary[0], host), primary[1]) for first, last, primary, *_ in slots)
        return cls(ranges, said.get("cluster_state") == "ok", int(said.get("cluster_current_epoch", 0)))

    @property
    def rank(self) -> tuple[bool, int]:
        """Greater is better."""
        return self.works, self.epoch


@dataclass(frozen=True, slots=True)
class Redirection:
    """`MOVED 3999 127.0.0.1:6381`: the slot is there for good; `ASK …`: this one command is to go there."""

    asking: bool
    slot: int
    host: str
    port: int

    @classmethod
    def of(cls, text: str, answered: str) -> Redirection | None:
        """What the error `text` of the node at `answered` (host:port) says; None if it is another error."""
        kind, _, rest = text.partition(" ")
        if kind not in {"MOVED", "ASK"}:
            return None
        slot, _, where = rest.partition(" ")
        host, _, port = where.rpartition(":")
        if not slot.isdigit() or not port.isdigit() or int(slot) >= SLOTS:
            return None
        return cls(kind == "ASK", int(slot), _host(host, answered.rpartition(":")[0].strip("[]")), int(port))


def _host(named: bytes | str | None, answered: str) -> str:
    """A node that doesn't know its own name means the one it was asked under."""
    text = named.decode() if isinstance(named, bytes) else named
    return answered if text in {None, "", "?"} else str(text)
