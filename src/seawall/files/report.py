"""What came of looking through a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """What one sweep did.

    removed: the names of the entries it removed; of a dry run, of those it would have. freed, held: bytes on the disk,
    of those removed and of those kept. failed: why an entry could be neither judged nor removed, by its name; `.` is
    the folder itself. seconds: how long it took.
    """

    removed: tuple[str, ...] = ()
    freed: int = 0
    kept: int = 0
    held: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        text = f"{len(self.removed)} removed, {size(self.freed)} freed; {self.kept} kept, {size(self.held)}"
        if self.failed:
            text += f"; {len(self.failed)} failed ({next(iter(self.failed.values()))})"
        return text


def size(bytes: float) -> str:  # noqa: A002 - what it is
    """As people read it: `3.4 MB`."""
    for unit in _UNITS[:-1]:
        if bytes < 1000:  # noqa: PLR2004 - of one unit in the next
            return f"{bytes:.0f} {unit}" if unit == _UNITS[0] else f"{bytes:.1f} {unit}"
        bytes /= 1000  # noqa: A001
    return f"{bytes:.1f} {_UNITS[-1]}"
