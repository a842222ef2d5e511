"""A record: what stands under a key in a shared tier, and its bytes.

    SWC1 │ kind │ version     │ crc │ stored fresh keep │ fingerprint │ tags, validator, transforms │ payload
    4 B    1 B    16 digits     4 B   3 × float 64        8 B           their lengths first

The version stands in digits where a script on the server can read and write it. The checksum is over everything
after it, so bytes that changed on their way are a miss, not a wrong answer.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

from seawall.cache.errors import DecodeError

MAGIC = b"SWC1"
VALUE = b"v"
ERROR = b"e"
"""An error that is an answer, kept as its class's name and arguments."""
DELETED = b"d"
"""What a delete leaves behind for a while, so that older fills and late writes lose against it."""

NEWEST = 2**52
"""The greatest version that a script reckons with exactly, of the year 2112: one beyond it is none."""

_CHECKSUM = struct.Struct(">I")
_BODY = struct.Struct(">ddd8sIIB")
_CHECKED = struct.Struct(">Iddd8sIIB")
_VERSION = slice(5, 21)
SMALL = 4096
_BODY_AT = 25
_TAGS_AT = _BODY_AT + _BODY.size


class Record(NamedTuple):
    """An entry as a shared tier keeps it. Times are seconds since 1970 by the tier's clock, versions microseconds."""

    kind: bytes
    version: int
    stored: float
    fresh_until: float
    keep_until: float
    fingerprint: bytes
    tags: tuple[str, ...]
    validator: str | None
    transforms: bytes
    payload: bytes

    def body(self) -> bytes:
        """The bytes after the version."""
        tags = "\0".join(self.tags).encode("utf-8", "surrogatepass")
        validator = b"" if self.validator is None else self.validator.encode("utf-8", "surrogatepass")
        body = b"".join(
            (
                _BODY.pack(
                    self.stored, self.fresh_until, self.keep_until, self.fingerprint, len(tags), len(validator),
                    len(self.transforms),
                ),
                tags,
                validator,
                self.transforms,
                self.payload,
            )
        )  # fmt: skip
        return _CHECKSUM.pack(crc32(body)) + body

    def encode(self) -> bytes:
        """All of it, with its own version."""
        return b"%b%b%016d%b" % (MAGIC, self.kind, self.version, self.body())


def decode(raw: bytes) -> Record:
    """The record in `raw`. Raises `DecodeError` for what is none."""
    if raw[:4] != MAGIC:
        raise DecodeError("cache record", "foreign bytes")
    kind = raw[4:5]
    try:
        version = int(raw[_VERSION])
        if version > NEWEST:
            raise DecodeError("cache record", "corrupt")
        if kind == DELETED:
            return Record(DELETED, version, 0.0, 0.0, 0.0, b"", (), None, b"", b"")
        # A view costs more than a copy of what is small.
        body = raw[_BODY_AT:] if len(raw) < SMALL else memoryview(raw)[_BODY_AT:]
        checksum, stored, fresh_until, keep_until, fingerprint, tags, validator, transforms = _CHECKED.unpack_from(
            raw, 21
        )
        if checksum != crc32(body):
            raise DecodeError("cache record", "corrupt")
        if not (tags or validator or transforms):
            plain = (kind, version, stored, fresh_until, keep_until, fingerprint, (), None, b"", raw[_TAGS_AT:])
            return tuple.__new__(Record, plain)  # what its own constructor does, in a third of the time
        one = _TAGS_AT + tags
        two = one + validator
        three = two + transforms
        return Record(
            kind,
            version,
            stored,
            fresh_until,
            keep_until,
            fingerprint,
            tuple(raw[_TAGS_AT:one].decode("utf-8", "surrogatepass").split("\0")) if tags else (),
            raw[one:two].decode("utf-8", "surrogatepass") if validator else None,
            raw[two:three],
            raw[three:],
        )
    except (ValueError, struct.error) as error:
        raise DecodeError("cache record", "corrupt") from error
