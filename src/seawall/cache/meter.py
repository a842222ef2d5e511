"""What is counted, per category and key template.

A hit in memory is counted by its entry alone, so that it costs one addition; everything else here happens where
something slower has just been done.
"""

from __future__ import annotations

from typing import Protocol

from seawall.cache.freshness import Freshness
from seawall.cache.sketch import Quantiles


class Counted(Protocol):
    """An entry in memory that counts its own hits."""

    hits: float


class Meter:
    """The counts of one category and key template.

    hits: answered by memory, as far as their entries have left it; those that stay count for themselves.
    remote_hits, stale_hits, misses: the other answers; a caller of `get_or_set` who finds nothing is one miss,
    whatever happens then. waits: misses that joined a load under way. expired: others that found something too old.
    loads, failed, load_times: of the loader. reloads, unchanged: loads that replaced something, and those that
    brought the same again. fail_safes: stale answers in place of a load that failed or took too long. refreshes:
    loads begun behind a caller's back. stored, bytes, largest, lifetimes, freshness: values put into memory, the sum
    and maximum of their bytes, the sum of their seconds of life, and the last one's options. refused: values too
    large to be kept. evicted: entries that went for want of room; returned: those that were asked for again soon
    after. left, unread: entries that left memory, and those that nobody had read.
    """

    __slots__ = (
        "bytes", "category", "evicted", "expired", "fail_safes", "failed", "freshness", "hits", "largest", "left",
        "lifetimes", "load_times", "loads", "misses", "refreshes", "refused", "reloads", "remote_hits", "returned",
        "stale_hits", "stored", "template", "unchanged", "undecodable", "unread", "waits", "writes",
    )  # fmt: skip

    def __init__(self, category: str, template: str) -> None:
        self.category = category
        self.template = template
        self.hits = 0
        self.stale_hits = 0
        self.remote_hits = 0
        self.misses = 0
        self.expired = 0
        self.loads = 0
        self.failed = 0
        self.reloads = 0
        self.unchanged = 0
        self.fail_safes = 0
        self.refreshes = 0
        self.waits = 0
        self.writes = 0
        self.refused = 0
        self.undecodable = 0
        self.evicted = 0
        self.returned = 0
        self.left = 0
        self.unread = 0
        self.stored = 0
        self.bytes = 0
        self.largest = 0
        self.lifetimes = 0.0
        self.freshness: Freshness | None = None
        self.load_times = Quantiles()

    def put(self, size: int, lifetime: float, freshness: Freshness) -> None:
        """A value of `size` bytes was put into memory for `lifetime` seconds."""
        self.stored += 1
        self.bytes += size
        self.largest = max(self.largest, size)
        self.lifetimes += lifetime
        self.freshness = freshness

    def collect(self, entry: Counted) -> None:
        """Take over the hits of an entry that leaves memory."""
        self.hits += int(entry.hits)
        self.left += 1
        if not entry.hits:
            self.unread += 1
