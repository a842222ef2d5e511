"""What the cache tells of itself: counts per tier, category and key template, load times, and the hottest keys.

    statistics = cache.statistics()
    statistics.total.hit_ratio                  # 0.93
    statistics.templates[0].load_times.p95      # seconds
    statistics.hot_keys[0].key
    json.dumps(statistics.as_dict())

Counts are of this process, since the cache was made.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from seawall.cache.freshness import Freshness
from seawall.cache.memory import MemoryStatistics
from seawall.cache.meter import Meter
from seawall.cache.sketch import Quantiles

if TYPE_CHECKING:
    from seawall.cache.cache import Cache

HOT_KEYS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadTimes:
    """How long loads took that brought a value, in seconds; quantiles within 5 %. All 0.0 where there was none."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What was counted. A request is answered in one of four ways, and only `misses` load or find nothing.

    hits: by memory. remote_hits: by the shared tier. stale_hits: at once, by something no longer fresh. misses:
    neither; `waits` of them joined a load under way, and `expired` of the others found something too old.
    loads, failed: of the loader. reloads: loads that replaced something; `unchanged` of them brought the same again.
    refreshes: loads behind a caller's back. fail_safes: stale answers in place of a load that failed or took too
    long. writes: by `set`. refused: values too large to be kept. undecodable: records in the shared tier that are no
    value of the type asked for. evicted: entries that went for want of room; `returned`: those that were asked for
    again soon. left: entries that are gone for whatever reason; `unread` of them were never hit. mean_bytes,
    largest_bytes, mean_ttl: of the values kept, encoded, and of their seconds of life.
    """

    hits: int
    remote_hits: int
    stale_hits: int
    misses: int
    expired: int
    waits: int
    loads: int
    failed: int
    reloads: int
    unchanged: int
    refreshes: int
    fail_safes: int
    writes: int
    refused: int
    undecodable: int
    evicted: int
    returned: int
    left: int
    unread: int
    mean_bytes: float
    largest_bytes: int
    mean_ttl: float
    load_times: LoadTimes

    @property
    def requests(self) -> int:
        """How often a value was asked for."""
        return self.hits + self.remote_hits + self.stale_hits + self.misses

    @property
    def hit_ratio(self) -> float | None:
        """The share of requests that neither tier missed; None of none."""
        return 1.0 - self.misses / self.requests if self.requests else None

    @property
    def memory_ratio(self) -> float | None:
        """The share of requests that memory answered; None of none."""
        return (self.hits + self.stale_hits) / self.requests if self.requests else None

    @property
    def remote_ratio(self) -> float | None:
        """The share of what the shared tier was asked for that it had; None where it was not asked."""
        asked = self.remote_hits + self.misses
        return self.remote_hits / asked if asked else None

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        counts = {field.name: getattr(self, field.name) for field in dataclasses.fields(Counts)}
        ratios = {name: getattr(self, name) for name in ("requests", "hit_ratio", "memory_ratio", "remote_ratio")}
        return {**ratios, **counts, "load_times": dataclasses.asdict(self.load_times)}


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateStatistics(Counts):
    """The counts of one category and key template. freshness: the options of the value kept last, if any was."""

    category: str
    template: str
    freshness: Freshness | None

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"category": self.category, "template": self.template, **Counts.as_dict(self)}


@dataclass(frozen=True, kw_only=True, slots=True)
class TierStatistics:
    """The shared tier. errors: questions and changes that it did not answer."""

    name: str
    available: bool
    errors: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HotKey:
    """A key, and how often memory answered it: at least `hits`, at most `hits + error` times.

    Exact while no more than a few hundred keys have left memory.
    """

    key: str
    hits: int
    error: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheStatistics:
    """The cache at one moment. seconds: since it was made. tier: None where memory is alone. templates: most asked
    for first; beyond a thousand the rest is counted together, as `…`. hot_keys: most hit first.
    """

    name: str
    seconds: float
    max_value_bytes: int
    total: Counts
    memory: MemoryStatistics
    tier: TierStatistics | None
    categories: Mapping[str, Counts]
    templates: tuple[TemplateStatistics, ...]
    hot_keys: tuple[HotKey, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "name": self.name,
            "seconds": self.seconds,
            "total": self.total.as_dict(),
            "memory": dataclasses.asdict(self.memory),
            "tier": None if self.tier is None else dataclasses.asdict(self.tier),
            "categories": {category: counts.as_dict() for category, counts in self.categories.items()},
            "templates": [template.as_dict() for template in self.templates],
            "hot_keys": [dataclasses.asdict(key) for key in self.hot_keys],
        }


def statistics(cache: Cache, seconds: float, *, hot_keys: int) -> CacheStatistics:
    """See `Cache.statistics`."""
    meters = list(cache.meters.values())
    nodes, hits = cache.memory.snapshot(meters)
    for node in nodes:
        hits[node.meter] = hits.get(node.meter, 0) + int(node.hits)
    templates = [
        TemplateStatistics(
            category=meter.category, template=meter.template, freshness=meter.freshness, **_summed([meter], hits)
        )
        for meter in meters
    ]
    categories = {meter.category: [other for other in meters if other.category == meter.category] for meter in meters}
    tier = cache.tier
    return CacheStatistics(
        name=cache.name,
        seconds=seconds,
        max_value_bytes=cache.values.max_value_bytes,
        total=Counts(**_summed(meters, hits)),
        memory=cache.memory.statistics(),
        tier=None
        if tier is None
        else TierStatistics(name=tier.name, available=cache.shared.available, errors=cache.shared.errors),
        categories={category: Counts(**_summed(found, hits)) for category, found in categories.items()},
        templates=tuple(sorted(templates, key=lambda each: -each.requests)),
        hot_keys=tuple(_hottest(cache, nodes, hot_keys)),
    )


_SUMS = (
    "remote_hits", "stale_hits", "misses", "expired", "waits", "loads", "failed", "reloads", "unchanged", "refreshes",
    "fail_safes", "writes", "refused", "undecodable", "evicted", "returned", "left", "unread",
)  # fmt: skip


def _summed(meters: Iterable[Meter], hits: Mapping[Meter, int]) -> dict[str, Any]:
    meters = list(meters)
    times = Quantiles()
    for meter in meters:
        times.merge(meter.load_times)
    stored = sum(meter.stored for meter in meters) or 1
    return {
        **{name: sum(getattr(meter, name) for meter in meters) for name in _SUMS},
        "hits": sum(hits.get(meter, 0) for meter in meters),
        "mean_bytes": sum(meter.bytes for meter in meters) / stored,
        "largest_bytes": max((meter.largest for meter in meters), default=0),
        "mean_ttl": sum(meter.lifetimes for meter in meters) / stored,
        "load_times": LoadTimes(
            mean=times.mean,
            p50=times.quantile(0.5),
            p95=times.quantile(0.95),
            p99=times.quantile(0.99),
            max=times.largest,
        ),
    }


def _hottest(cache: Cache, nodes: Iterable[Any], most: int) -> list[HotKey]:
    departed = cache.memory.departed
    # Every key that may have left takes part, so that one that came and went is not judged by its present stay alone.
    found = {frequency.item: frequency.least for frequency in departed.top(2 * departed.capacity)}
    for key in found:
        node = cache.memory.nodes.get(key)
        found[key] += 0 if node is None else int(node.hits)
    here = (node for node in nodes if node.hits and node.key not in found)
    found.update((node.key, int(node.hits)) for node in heapq.nlargest(most, here, key=attrgetter("hits")))
    hottest = heapq.nlargest(most, found.items(), key=lambda pair: pair[1])
    return [HotKey(key=key, hits=hits, error=departed.error) for key, hits in hottest]
