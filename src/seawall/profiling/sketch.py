"""How durations are distributed, in bounded memory; two sketches are merged by adding them.

A duration is counted in the bucket of its first bits: its power of two, and which 32nd of it. So the error of a
quantile is relative, and no logarithm is taken. After Tene's HdrHistogram (buckets) and
Masson, Rim, Lee, "DDSketch", VLDB 2019 (merging).
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from operator import rshift
from struct import Struct

from seawall.core.options import number

SMALLEST, LARGEST = 2.0**-30, 2.0**20
"""A nanosecond and twelve days: what lies outside is counted as these."""
ERROR = 1 / 64
"""The most that a quantile is off, as a share of it: half of a 32nd."""

_BITS = 52 - 5
"""The bits of a double below its exponent and the first five of its fraction."""
_DOUBLE, _WHOLE = Struct("=d"), Struct("=q")


class Durations:
    """Any quantile within 1.6 %, in 1,600 counters at most. `count`, `sum`, `least` and `most` are exact.

    Pure, and not for several threads at once.
    """

    __slots__ = ("_buckets", "count", "least", "most", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.least = math.inf
        self.most = 0.0
        self._buckets: Counter[int] = Counter()

    def __len__(self) -> int:
        """The counters in use."""
        return len(self._buckets)

    def add(self, durations: Sequence[float]) -> None:
        """So many things took so many seconds: finite numbers, 0 or more. Many at once cost less than each alone."""
        if not durations:
            return
        least, most = min(durations), max(durations)
        self.count += len(durations)
        self.sum += sum(durations)
        self.least = min(self.least, least)
        self.most = max(self.most, most)
        if least < SMALLEST or most > LARGEST:
            durations = [min(max(duration, SMALLEST), LARGEST) for duration in durations]
        # The doubles' bits as whole numbers, which are in the order of the doubles.
        bits = memoryview(array("d", durations)).cast("B").cast("q")
        self._buckets.update(map(rshift, bits, repeat(_BITS)))

    def merge(self, other: Durations) -> None:
        """Take in what `other` has counted: the same as if it had been counted here."""
        self.count += other.count
        self.sum += other.sum
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        self._buckets.update(other._buckets)

    @property
    def mean(self) -> float:
        """The mean, 0.0 of nothing."""
        return self.sum / self.count if self.count else 0.0

    def quantiles(self, *shares: float) -> list[float]:
        """For each share, 0 to 1, the duration that this share of them doesn't exceed; 0.0 of nothing."""
        for share in shares:
            number("Durations.quantiles", "share", share, at_least=0, at_most=1)
        if not self.count:
            return [0.0 for _ in shares]
        buckets = sorted(self._buckets.items())
        return [self._at(buckets, max(1, math.ceil(share * self.count))) for share in shares]

    def _at(self, buckets: list[tuple[int, int]], rank: int) -> float:
        for bucket, count in buckets:
            rank -= count
            if rank <= 0:
                middle = (_start(bucket) + _start(bucket + 1)) / 2
                return min(max(middle, self.least), self.most)
        return self.most


def _start(bucket: int) -> float:
    start: float = _DOUBLE.unpack(_WHOLE.pack(bucket << _BITS))[0]
    return start
