"""The fact that retention reports."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Event


@dataclass(frozen=True, kw_only=True)
class FolderSwept(Event):
    """A folder was looked through, and what was too old in it removed.

    removed, kept, failed: entries. freed, held: bytes on the disk, of those removed and of those kept. reason: why the
    first one failed, None if none did. seconds: how long it took. No names: an entry may be called after a session.
    """

    folder: str
    removed: int
    freed: int
    kept: int
    held: int
    failed: int
    reason: str | None
    seconds: float
