"""How far a server has come: the timeline, and the place in its write-ahead log."""

from __future__ import annotations

import re
from typing import NamedTuple

from seawall.core import OptionError

_TEXT = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


class Position(NamedTuple):
    """A place in the history of a PostgreSQL cluster; a later one of the same timeline is greater.

    timeline: grows with each promotion. Places of two timelines can't be compared: the old primary may have written
    past the point where the new one began. lsn: bytes of write-ahead log since the beginning.
    """

    timeline: int
    lsn: int

    def reached_by(self, other: Position) -> bool:
        """Whether a server that has come to `other` has all that was written here."""
        return self.timeline == other.timeline and self.lsn <= other.lsn

    def __str__(self) -> str:
        return f"{self.timeline}:{lsn_text(self.lsn)}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that `str` gave as `text`. Raises `OptionError`."""
        timeline, _, lsn = text.partition(":")
        if not re.fullmatch(r"[0-9]{1,10}", timeline):
            raise OptionError("Position.parse", "text", text, "timeline:lsn, such as 1:0/3000060")
        return cls(int(timeline), lsn_of(lsn))


def lsn_of(text: str) -> int:
    """The number of a `pg_lsn` as PostgreSQL writes it, `0/3000060`. Raises `OptionError`."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise OptionError("lsn_of", "text", text, "two hexadecimal numbers, such as 0/3000060")
    return int(found[1], 16) << 32 | int(found[2], 16)


def lsn_text(lsn: int) -> str:
    """The number as PostgreSQL writes it, `0/3000060`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
