"""Encrypts entries: AES-256-GCM by the cryptography package."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import ClassVar

from seawall.cache.errors import DecodeError
from seawall.cache.transforms import refuse_weak
from seawall.core import MissingExtraError

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    raise MissingExtraError("seawall.cache.cryptography", "cryptography", "security") from None

_NONCE = 12
_KEY = 32
_ID = 4


class Encrypt:
    """Encrypts with AES-256-GCM (NIST SP 800-38D), the cache key authenticated with the data.

    The first key encrypts, all decrypt: an entry names its key by four bytes of a hash. A key is 32 random bytes
    (`secrets.token_bytes(32)`), never a password. Each entry has a random 96-bit nonce, so use a key for no more
    than 2**32 writes, which is 49 days at 1,000 a second; then put a new one in front.
    """

    id: ClassVar[int] = 3

    def __init__(self, *keys: bytes) -> None:
        refuse_weak("Encrypt", "keys", keys, at_least=_KEY, at_most=_KEY)
        self._ciphers: dict[bytes, list[AESGCM]] = {}
        for key in keys:  # two keys with one id are both tried
            self._ciphers.setdefault(_id(key), []).append(AESGCM(key))
        self._first = _id(keys[0])

    def __repr__(self) -> str:
        return f"Encrypt(<{sum(map(len, self._ciphers.values()))} keys>)"

    def wrap(self, data: bytes, key: bytes) -> bytes:
        """The id of the encrypting key, the nonce, and the encrypted data with its tag."""
        nonce = os.urandom(_NONCE)
        return self._first + nonce + self._ciphers[self._first][0].encrypt(nonce, data, key)

    def unwrap(self, data: bytes, key: bytes) -> bytes:
        """The data. Raises `DecodeError` unless one of the keys encrypted it for this cache key."""
        for cipher in self._ciphers.get(data[:_ID], ()):
            try:
                return cipher.decrypt(data[_ID : _ID + _NONCE], data[_ID + _NONCE :], key)
            except (InvalidTag, ValueError):  # ValueError: too short to have a nonce
                continue
        raise DecodeError("encrypted entry", "none of the keys encrypted it for this cache key")


def _id(key: bytes) -> bytes:
    return blake2b(key, digest_size=_ID, person=b"seawall-key-id").digest()
