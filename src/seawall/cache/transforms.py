"""What is done to an entry's bytes on their way to the store and back: compressed, signed, encrypted.

Each is bound to the key where that protects: bytes copied to another key are refused there. To be composed in the
order they are applied: compress first, then sign or encrypt.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from typing import ClassVar, Protocol

from seawall.cache.errors import DecodeError
from seawall.core import OptionError
from seawall.core.options import number


class Transform(Protocol):
    """A reversible step between the codec and the store."""

    @property
    def id(self) -> int:
        """One byte that says in a stored entry what was done to it; the same in every release."""
        ...

    def wrap(self, data: bytes, key: bytes) -> bytes:
        """`data` as it is stored under `key`."""
        ...

    def unwrap(self, data: bytes, key: bytes) -> bytes:
        """What was wrapped. Raises `DecodeError` for anything else, and for what was wrapped for another key."""
        ...


class Compress:
    """Compresses with zlib what has `above` bytes or more, when that makes it smaller.

    `level` is zlib's, 1 (fast) to 9 (small): level 1 gives most of the gain on JSON-like data at a third of the time.
    `max_bytes` bounds what a stored entry may become in memory, as a few corrupt or hostile bytes can claim gigabytes.
    """

    id: ClassVar[int] = 1

    def __init__(self, above: int = 1024, level: int = 1, *, max_bytes: int = 64 * 1024 * 1024) -> None:
        number("Compress", "above", above, at_least=0, integer=True)
        number("Compress", "level", level, at_least=1, at_most=9, integer=True)
        number("Compress", "max_bytes", max_bytes, at_least=1, integer=True)
        self.above = above
        self.level = level
        self.max_bytes = max_bytes

    def wrap(self, data: bytes, key: bytes) -> bytes:
        """`data` behind a byte that says whether it is compressed."""
        if self.above <= len(data) <= self.max_bytes:
            packed = zlib.compress(data, self.level)
            if len(packed) < len(data):
                return b"\x01" + packed
        return b"\x00" + data

    def unwrap(self, data: bytes, key: bytes) -> bytes:
        """What was wrapped. Raises `DecodeError` for what zlib refuses, and beyond `max_bytes` before it is there."""
        if data[:1] == b"\x00":
            return data[1:]
        if data[:1] != b"\x01":
            raise DecodeError("compressed entry", "its first byte is unknown")
        unpacker = zlib.decompressobj()
        try:
            found = unpacker.decompress(data[1:], self.max_bytes + 1)
        except zlib.error:
            raise DecodeError("compressed entry", "zlib can't read it") from None
        if len(found) > self.max_bytes:
            raise DecodeError("compressed entry", f"it would have more than max_bytes={self.max_bytes} bytes")
        if not unpacker.eof or unpacker.unused_data:
            raise DecodeError("compressed entry", "it is cut, or something follows it")
        return found


class Sign:
    """Puts an HMAC-SHA256 of key and data in front, so that nobody without a secret can forge, change or move an entry.

    The first secret signs, all verify: put a new one in front, and leave the old one out once its entries are gone.
    A secret has 16 bytes or more (`secrets.token_bytes(32)`). It does not hide the data; `Encrypt` does both.
    """

    id: ClassVar[int] = 2

    def __init__(self, *secrets: bytes) -> None:
        self._secrets = refuse_weak("Sign", "secrets", secrets, at_least=_SHORTEST_SECRET, at_most=None)

    def __repr__(self) -> str:
        return f"Sign(<{len(self._secrets)} secrets>)"

    def wrap(self, data: bytes, key: bytes) -> bytes:
        """The signature and `data`."""
        return _signature(self._secrets[0], data, key) + data

    def unwrap(self, data: bytes, key: bytes) -> bytes:
        """The data. Raises `DecodeError` unless one of the secrets signed it for this key."""
        given, body = data[:_SIGNATURE], data[_SIGNATURE:]
        for secret in self._secrets:
            if hmac.compare_digest(given, _signature(secret, body, key)):
                return body
        raise DecodeError("signed entry", "none of the secrets signed it for this key")


_SIGNATURE = 32
_SHORTEST_SECRET = 16


def _signature(secret: bytes, data: bytes, key: bytes) -> bytes:
    # The length tells where the key ends, so that no byte can be moved between key and data.
    return hmac.digest(secret, len(key).to_bytes(8, "big") + key + data, hashlib.sha256)


def refuse_weak(
    owner: str, option: str, secrets: tuple[bytes, ...], *, at_least: int, at_most: int | None
) -> tuple[bytes, ...]:
    """`secrets` as they are. Raises `OptionError`, with lengths alone, for none or for a wrong length."""
    allowed = f"exactly {at_least} bytes each" if at_most == at_least else f"{at_least} bytes or more each"
    if not secrets:
        raise OptionError(owner, option, (), f"at least one, {allowed}")
    for secret in secrets:
        if not isinstance(secret, bytes):
            raise OptionError(owner, option, f"a {type(secret).__name__}", f"bytes, {allowed}")
        if len(secret) < at_least or (at_most is not None and len(secret) > at_most):
            raise OptionError(owner, option, f"{len(secret)} bytes", allowed)
    return secrets
