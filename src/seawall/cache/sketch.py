"""Two sketches of a stream in bounded memory: which items are frequent, and how durations are distributed.

Both can be merged: the sketch of two streams together is as good as the sketches of each, put together.
"""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

from seawall.core.options import number


class Frequency(NamedTuple):
    """About how often an item came: at least `least`, at most `least + error` times."""

    item: str
    least: int
    error: int


class FrequentItems:
    """The items that come most often, with bounds of how often, in at most `2 * capacity` counters.

    When the counters are full, their median is subtracted from all and those left with nothing go, so an addition
    costs constant time on average. `error`, what was subtracted in sum, bounds what any count misses: an item that
    came more often than that is there. It is less than 1 / `capacity` of the total. From any thread.

    After Anderson et al., "A High-Performance Algorithm for Identifying Frequent Items in Data Streams", IMC 2017.
    """

    __slots__ = ("_counts", "_lock", "capacity", "error", "total")

    def __init__(self, capacity: int = 256) -> None:
        number("FrequentItems", "capacity", capacity, at_least=1, integer=True)
        self.capacity = capacity
        self.error = 0
        self.total = 0
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, item: str, count: int = 1) -> None:
        """`item` came `count` times."""
        with self._lock:
            self.total += count
            self._add(item, count)

    def merge(self, other: FrequentItems) -> None:
        """Take in what `other` has seen."""
        with other._lock:
            counts, error, total = dict(other._counts), other.error, other.total
        with self._lock:
            self.total += total
            self.error += error
            for item, count in counts.items():
                self._add(item, count)

    def top(self, most: int) -> list[Frequency]:
        """The `most` items that came most often, the first one first."""
        with self._lock:
            found = sorted(self._counts.items(), key=lambda pair: -pair[1])[:most]
            return [Frequency(item, count, self.error) for item, count in found]

    def _add(self, item: str, count: int) -> None:
        counts = self._counts
        counts[item] = counts.get(item, 0) + count
        if len(counts) > 2 * self.capacity:
            # The median: half of them go, and each of the others loses as much.
            cut = sorted(counts.values())[self.capacity]
            self.error += cut
            self._counts = {item: count - cut for item, count in counts.items() if count > cut}


class Quantiles:
    """How durations are distributed: any quantile within 5 %, from a microsecond to a day, in some 260 counters.

    A duration is counted in the bucket of its logarithm, so the error is relative. `count`, `sum` and `largest` are
    exact. From any thread. After Masson, Rim, Lee, "DDSketch", VLDB 2019.
    """

    GAMMA = 1.1
    """The upper end of a bucket is this many times its lower end: (γ - 1) / (γ + 1) is below 5 %."""
    SMALLEST = 1e-6
    LARGEST = 86_400.0

    __slots__ = ("_buckets", "_lock", "count", "largest", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.largest = 0.0
        self._buckets: dict[int, int] = {}
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Something took `seconds`."""
        bucket = math.ceil(math.log(min(max(seconds, self.SMALLEST), self.LARGEST)) / _LOG_GAMMA)
        with self._lock:
            self.count += 1
            self.sum += seconds
            self.largest = max(self.largest, seconds)
            self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def merge(self, other: Quantiles) -> None:
        """Take in what `other` has seen."""
        with other._lock:
            count, sum_, largest, buckets = other.count, other.sum, other.largest, dict(other._buckets)
        with self._lock:
            self.count += count
            self.sum += sum_
            self.largest = max(self.largest, largest)
            for bucket, each in buckets.items():
                self._buckets[bucket] = self._buckets.get(bucket, 0) + each

    @property
    def mean(self) -> float:
        """The mean, 0.0 of nothing."""
        return self.sum / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The duration that `share` of them, 0 to 1, don't exceed; 0.0 of nothing."""
        number("Quantiles.quantile", "share", share, at_least=0, at_most=1)
        with self._lock:
            rank = max(1, math.ceil(share * self.count))
            for bucket in sorted(self._buckets):
                rank -= self._buckets[bucket]
                if rank <= 0:
                    middle: float = 2 * self.GAMMA**bucket / (self.GAMMA + 1)
                    return min(middle, self.largest)
        return 0.0


_LOG_GAMMA = math.log(Quantiles.GAMMA)
