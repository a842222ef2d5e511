"""What an analysis knows about tables, columns and indexes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column and what the server's statistics say of it.

    distinct: the number of its distinct values. common: the fraction of rows with its most common value.
    """

    name: str
    type: str
    distinct: float = 0.0
    common: float = 0.0
    nulls: float = 0.0
    width: float = 8.0
    binary_order: bool = True
    """Whether its collation sorts by bytes, so that a plain index serves prefixes."""


@dataclass(frozen=True, kw_only=True)
class ExistingIndex:
    """An index that the table has. keys: its key columns or expressions with direction and class, in order."""

    name: str
    definition: str
    keys: tuple[str, ...]
    include: tuple[str, ...] = ()
    method: str = "btree"
    predicate: str = ""
    unique: bool = False
    constraint: bool = False
    """Whether a constraint or replication needs it, so that it can't be dropped."""
    valid: bool = True
    bytes: int = 0
    scans: int | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table. writes_per_second: inserts and updates, None where the server doesn't count.

    visible: the fraction of its pages that index-only scans need not visit.
    """

    schema: str
    name: str
    columns: Mapping[str, Column]
    rows: float
    pages: int
    bytes: int = 0
    indexes: tuple[ExistingIndex, ...] = field(default=())
    writes_per_second: float | None = None
    visible: float = 1.0
    kind: str = "r"

    @property
    def qualified(self) -> str:
        """`"schema"."name"`, quoted."""
        return f"{quoted(self.schema)}.{quoted(self.name)}" if self.schema else quoted(self.name)

    @property
    def shown(self) -> str:
        """Its name for people, without the default schema."""
        return self.name if self.schema in {"public", "main", ""} else f"{self.schema}.{self.name}"


class Schema:
    """The tables and views of a database by name.

    search_path: where names without a schema are looked up, in order. views: their SELECTs by schema and name.
    """

    def __init__(
        self,
        tables: Iterable[Table],
        search_path: Iterable[str] = ("public",),
        views: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self._tables = {(table.schema, table.name): table for table in tables}
        self._views = views or {}
        self._path = tuple(search_path)

    def find(self, schema: str, name: str) -> Table | None:
        """The table that a statement means by `schema.name`, or by `name` where schema is ""."""
        for place in (schema,) if schema else self._path:
            if (place, name) in self._tables:
                return self._tables[place, name]
        return None

    def view(self, schema: str, name: str) -> str | None:
        """The SELECT of a view; None where the name is no view's."""
        places = (schema,) if schema else self._path
        return next((self._views[place, name] for place in places if (place, name) in self._views), None)

    def __iter__(self) -> Iterator[Table]:
        return iter(self._tables.values())


def quoted(name: str) -> str:
    """An identifier for SQL, quoted where it has to be."""
    plain = name.isidentifier() and name.isascii() and name == name.lower() and name not in _RESERVED
    return name if plain else '"' + name.replace('"', '""') + '"'


_RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
    current_date current_role current_time current_timestamp current_user default deferrable desc distinct do
    else end except false fetch for foreign from grant group having in initially intersect into lateral leading
    limit localtime localtimestamp not null offset on only or order placing primary references returning select
    session_user some symmetric table then to trailing true union unique user using variadic when where window
    with authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join
    left like natural notnull outer overlaps right similar tablesample verbose
    """.split()  # noqa: SIM905
)
