"""What every statement costs: always counted, looked at when somebody asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from seawall.database.statements import StatementClass

MOST_TEXTS = 5_000
"""Statements counted one by one; what is new beyond that is counted together."""
OTHERS = "(others)"
_BUCKETS = 32


class _Entry:
    """The counts of one text. `buckets[n]` counts runs of less than 2^n microseconds and no less than half that."""

    __slots__ = ("buckets", "count", "kind", "nodes", "rows", "seconds", "slowest")

    def __init__(self, kind: StatementClass) -> None:
        self.kind = kind
        self.count = 0
        self.rows = 0
        self.seconds = 0.0
        self.slowest = 0.0
        self.buckets = [0] * (_BUCKETS + 1)
        self.nodes: defaultdict[str, int] = defaultdict(int)


@dataclass(frozen=True, kw_only=True)
class QueryStatistics:
    """The runs of one statement, its literals left out. Times in seconds, quantiles to within a factor of two.

    nodes: how often it ran on which server.
    """

    fingerprint: str
    statement: str
    kind: StatementClass
    count: int
    rows: int
    seconds: float
    slowest: float
    median: float
    p99: float
    nodes: dict[str, int] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Seconds a run took on average."""
        return self.seconds / self.count

    def as_dict(self) -> dict[str, Any]:
        """Its figures by name, as JSON has them."""
        return asdict(self) | {"kind": self.kind.name.lower(), "mean": self.mean}


class Statistics:
    """Counts runs by text, and adds up the texts that differ in their literals only when it is asked."""

    def __init__(self, fingerprint: Callable[[str], str], normalize: Callable[[str], str]) -> None:
        self._entries: dict[str, _Entry] = {}
        self.heard: Callable[[StatementClass, float], object] | None = None
        """Told the class and the seconds of each run, where somebody wants to know."""
        self._fingerprint = fingerprint
        self._normalize = normalize

    def count(self, statement: str, kind: StatementClass, node: str, seconds: float, rows: int) -> None:
        """One run; rows: -1 where that isn't known."""
        entry = self._entries.get(statement) or self._add(statement, kind)
        entry.count += 1
        entry.seconds += seconds
        if rows > 0:
            entry.rows += rows
        entry.slowest = max(entry.slowest, seconds)
        entry.buckets[min(int(seconds * 1e6).bit_length(), _BUCKETS)] += 1
        entry.nodes[node] += 1
        if self.heard is not None:
            self.heard(kind, seconds)

    def _add(self, statement: str, kind: StatementClass) -> _Entry:
        if len(self._entries) >= MOST_TEXTS:
            statement = OTHERS
        return self._entries.setdefault(statement, _Entry(kind))

    def nodes(self) -> dict[str, int]:
        """How many statements ran on which server."""
        found: dict[str, int] = {}
        for entry in list(self._entries.values()):
            for node, count in list(entry.nodes.items()):
                found[node] = found.get(node, 0) + count
        return found

    def reset(self) -> None:
        """Begin anew."""
        self._entries = {}

    def queries(self) -> list[QueryStatistics]:
        """A frozen picture of this moment, what took most time in all first."""
        merged: dict[str, tuple[str, _Entry]] = {}
        for statement, entry in list(self._entries.items()):
            known = statement != OTHERS
            fingerprint = self._fingerprint(statement) if known else OTHERS
            if fingerprint not in merged:
                merged[fingerprint] = (self._normalize(statement) if known else OTHERS, _Entry(entry.kind))
            _add_up(merged[fingerprint][1], entry)
        pictures = [_picture(fingerprint, statement, entry) for fingerprint, (statement, entry) in merged.items()]
        return sorted(pictures, key=lambda query: query.seconds, reverse=True)


def _add_up(total: _Entry, entry: _Entry) -> None:
    total.count += entry.count
    total.rows += entry.rows
    total.seconds += entry.seconds
    total.slowest = max(total.slowest, entry.slowest)
    total.buckets = [one + other for one, other in zip(total.buckets, entry.buckets, strict=True)]
    for node, count in list(entry.nodes.items()):
        total.nodes[node] += count


def _picture(fingerprint: str, statement: str, entry: _Entry) -> QueryStatistics:
    return QueryStatistics(
        fingerprint=fingerprint,
        statement=statement,
        kind=entry.kind,
        count=entry.count,
        rows=entry.rows,
        seconds=entry.seconds,
        slowest=entry.slowest,
        median=min(_quantile(entry, 0.5), entry.slowest),
        p99=min(_quantile(entry, 0.99), entry.slowest),
        nodes=dict(entry.nodes),
    )


def _quantile(entry: _Entry, part: float) -> float:
    """The upper end of the bucket in which it lies."""
    left = part * entry.count
    for power, count in enumerate(entry.buckets):
        left -= count
        if left <= 0:
            return float(2**power) / 1e6
    return entry.slowest
