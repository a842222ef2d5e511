"""What a scenario hands back: a table of rows, and the figures in it under stable names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Figure = float | int | bool | str | None
Format = Literal["ns", "ratio", "percent", "count", "per call", "bytes", "seconds", "ms", "us", "points", "yes", "text"]


@dataclass(frozen=True)
class Column:
    """A figure by its `key`, the heading above it, and how it is written."""

    key: str
    heading: str
    format: Format


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender's figures, or why it has none: `absent` (cannot) or `failed` (raised)."""

    name: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    reference: bool = False
    absent: str | None = None
    failed: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Head:
    """A scenario's key on the command line, its title, and what it does, in words."""

    key: str
    title: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """The outcome of one scenario. Rows are in order of `rank`, the column that decides."""

    head: Head
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    rank: str
    speed: bool = False

    def row(self, name: str) -> Row | None:
        """Return the row of contender `name`, or `None` when it was not asked for."""
        return next((row for row in self.rows if row.name == name), None)

    def figure(self, name: str, key: str) -> Figure:
        """Return one figure, or `None` when the contender is missing or has none."""
        row = self.row(name)
        return row.figures.get(key) if row else None


def ordered(rows: list[Row], rank: str, *, highest: bool = False) -> tuple[Row, ...]:
    """Sort by the figure `rank`, lowest first or `highest`; rows without it come last, by name."""

    def place(row: Row) -> tuple[int, float, str]:
        figure = row.figures.get(rank)
        if isinstance(figure, int | float):
            return (0, -float(figure) if highest else float(figure), row.name)
        return (1 if row.failed else 2, 0.0, row.name)

    return tuple(sorted(rows, key=place))
