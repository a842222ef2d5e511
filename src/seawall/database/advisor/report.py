"""What an analysis was given and what it found. Texts are normalised: no literal value of a query is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters: `warning` fails a run of `--fail-on warning`, `note` doesn't."""

    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a workload.

    sql: its text, with `$1` placeholders or with literal values.
    calls, seconds: how often it ran and how long altogether; 0 where unknown.
    """

    sql: str
    calls: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one run of a statement on the copy read and took: pages of 8 kB, on SQLite steps of its virtual machine."""

    buffers: int
    milliseconds: float
    unit: str = "buffers"


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What a set of indexes does for a statement.

    cost_before, cost_after: the planner's estimates at the real size of the tables.
    before, after: one run each on the copy; None where it wasn't run (it writes, or only HypoPG was at hand).
    """

    statement: str
    calls: int
    seconds: float
    cost_before: float
    cost_after: float
    before: Measured | None = None
    after: Measured | None = None
    assumed: bool = False
    """Whether values stood in for placeholders."""

    @property
    def factor(self) -> float:
        """How many times cheaper it becomes."""
        return self.cost_before / max(self.cost_after, 0.01)


@dataclass(frozen=True, kw_only=True)
class IndexAdvice:
    """An index worth making: checked, and used by the planner for every statement in `gains`.

    bytes: its estimated size. bytes_per_row: what each further row adds. writes_per_second: inserts and updates that
    have to keep it, None where the server doesn't count. checked_by: `copy`, `hypopg` or `sqlite copy`.
    """

    table: str
    ddl: str
    reason: str
    gains: tuple[Gain, ...]
    bytes: int
    bytes_per_row: float
    writes_per_second: float | None = None
    checked_by: str = "copy"
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, kw_only=True)
class RewriteAdvice:
    """A predicate that no index can serve as it stands, and what to write instead."""

    statement: str
    predicate: str
    reason: str
    rewrite: str
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, kw_only=True)
class IndexProblem:
    """Something about an index that exists, or a foreign key without one.

    kind: `unused`, `duplicate`, `redundant`, `invalid` or `foreign key`. ddl: what would end it. keeps: the index that
    does the same work.
    """

    kind: str
    table: str
    index: str
    reason: str
    ddl: str
    bytes: int = 0
    keeps: str = ""
    severity: Severity = Severity.NOTE


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A statement that was not analysed, and why."""

    statement: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of an analysis."""

    database: str
    server: str
    analysed: int = 0
    indexes: Sequence[IndexAdvice] = ()
    rewrites: Sequence[RewriteAdvice] = ()
    problems: Sequence[IndexProblem] = ()
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = field(default=())

    @property
    def findings(self) -> Sequence[IndexAdvice | RewriteAdvice | IndexProblem]:
        """All findings, in the order in which a report shows them."""
        return (*self.indexes, *self.rewrites, *self.problems)

    def fails(self, level: Severity) -> bool:
        """Whether a finding is at `level` or above."""
        return any(level is Severity.NOTE or found.severity is Severity.WARNING for found in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return asdict(self)
