"""What is counted, per category and key template."""

from __future__ import annotations

from typing import Protocol


class Counted(Protocol):
    """An entry in memory that counts its own hits."""

    hits: int


class Meter:
    """The counts of one category and key template.

    hits: answered by memory, as far as their entries have left it; those that stay count for themselves.
    """

    __slots__ = (
        "bytes", "category", "evicted", "failed", "hits", "load_seconds", "loads", "misses", "refreshes", "remote_hits",
        "stale_hits", "template", "undecodable", "waits", "writes",
    )  # fmt: skip

    def __init__(self, category: str, template: str) -> None:
        self.category = category
        self.template = template
        self.hits = 0
        self.stale_hits = 0
        self.remote_hits = 0
        self.misses = 0
        self.loads = 0
        self.failed = 0
        self.refreshes = 0
        self.waits = 0
        self.writes = 0
        self.undecodable = 0
        self.bytes = 0
        self.evicted = 0
        self.load_seconds = 0.0

    def collect(self, entry: Counted) -> None:
        """Take over the hits of an entry that leaves memory."""
        self.hits += entry.hits
