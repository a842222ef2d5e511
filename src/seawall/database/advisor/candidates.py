"""Indexes that might serve what a statement asks of a table, from the parse tree and the statistics alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

from seawall.database.advisor.predicates import Kind, Order, Term, Use
from seawall.database.advisor.schema import Table, quoted

MAX_KEYS = 3
"""Equality columns in one index. Further ones rarely select anything more."""

MAX_INCLUDED = 4
"""Columns that an index carries along."""

MAX_INCLUDED_WIDTH = 64
"""Bytes of a row that an index carries along."""

SELECTIVE = 0.3
"""The fraction of rows that a partial index may hold."""

FEW_VALUES = 50
"""A column with more values than this is a parameter, not a state: no partial index."""

MAX_CANDIDATES = 40
"""Candidates for one appearance of a table."""


@dataclass(frozen=True)
class Key:
    """One key of an index: a quoted column, or an expression."""

    sql: str
    descending: bool = False
    nulls_first: bool = False
    operators: str = ""
    expression: bool = False

    def __str__(self) -> str:
        nulls = ""
        if self.nulls_first != self.descending:
            nulls = " NULLS FIRST" if self.nulls_first else " NULLS LAST"
        sql = f"({self.sql})" if self.expression else self.sql
        operators = f" {self.operators}" if self.operators else ""
        return f"{sql}{operators}{' DESC' if self.descending else ''}{nulls}"


@dataclass(frozen=True)
class Candidate:
    """An index that might be made."""

    table: Table
    keys: tuple[Key, ...]
    include: tuple[str, ...] = ()
    where: str = ""
    method: str = "btree"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Candidate) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[object, ...]:
        return (self.table.qualified, self.keys, self.include, self.where, self.method)

    @property
    def simplicity(self) -> tuple[int, int, int]:
        """Sorts simple indexes before elaborate ones."""
        return (len(self.keys) + len(self.include), len(self.include), len(self.where))

    def definition(self, table: str | None = None, name: str = "", *, concurrently: bool = False) -> str:
        """The statement that makes it, on another table if one is given."""
        method = "" if self.method == "btree" else f" USING {self.method}"
        include = f" INCLUDE ({', '.join(map(quoted, self.include))})" if self.include else ""
        where = f" WHERE {self.where}" if self.where else ""
        concurrently = concurrently and self.table.kind != "p"  # PostgreSQL refuses that on a partitioned table
        head = "CREATE INDEX CONCURRENTLY" if concurrently else "CREATE INDEX"
        keys = ", ".join(map(str, self.keys))
        return f"{head} {name}{' ' if name else ''}ON {table or self.table.qualified}{method} ({keys}){include}{where}"

    def served_by(self, keys: tuple[str, ...], include: tuple[str, ...], where: str, method: str) -> bool:
        """Whether an index with these keys can do all that this one can."""
        mine = tuple(map(str, self.keys))
        return (
            method == self.method
            and where in {"", self.where}
            and keys[: len(mine)] == mine
            and set(map(quoted, self.include)) <= {*map(quoted, include), *keys}
        )


def candidates(use: Use, *, trigrams: bool = False) -> list[Candidate]:
    """What might serve one appearance of a table, the simplest first, without what an existing index does already."""
    found: dict[Candidate, None] = {}
    for keys, where in _shapes(use):
        found.setdefault(Candidate(use.table, keys, where=where))
    for made in (*_covering(use, tuple(found)), *_inverted(use, trigrams=trigrams)):
        found.setdefault(made)
    fresh = [made for made in found if not _exists(made)]
    return sorted(fresh, key=lambda made: made.simplicity)[:MAX_CANDIDATES]


def _exists(made: Candidate) -> bool:
    return any(
        index.valid and made.served_by(index.keys, index.include, index.predicate, index.method)
        for index in made.table.indexes
    )


def _shapes(use: Use) -> Iterator[tuple[tuple[Key, ...], str]]:
    """B-tree keys and conditions: equalities, then a range or the order."""
    for branch in use.branches:
        base = branch if branch is use.branches[0] else [*branch, *_joins(use.branches[0])]
        for keys in _keys(use, base):
            yield keys, ""
        for term in base:
            if _can_be_condition(use.table, term):
                rest = [other for other in base if other is not term]
                for keys in _keys(use, rest) or [_any_key(use, term)]:
                    yield keys, term.condition


def _keys(use: Use, terms: list[Term]) -> list[tuple[Key, ...]]:
    equal = sorted(
        (term for term in terms if term.kind in {Kind.EQUAL, Kind.IN, Kind.NULL, Kind.JOIN} and term.columns),
        key=lambda term: -_distinct(use.table, term),
    )
    unique = list({term.key: term for term in equal}.values())[:5]
    tails: list[tuple[Key, ...]] = [()]
    tails += [(_key(use.table, term),) for term in terms if term.kind in {Kind.RANGE, Kind.PREFIX, Kind.NOT_NULL}]
    tails += [tail for tail in (_ordered(use.table, use.order), _grouped(use.table, use.group)) if tail]
    heads: list[tuple[Term, ...]] = [()]
    for size in range(1, MAX_KEYS + 1):
        heads += combinations(unique, size)
    heads += [pair for pair in permutations(unique, 2) if any(term.kind is Kind.JOIN for term in pair)]
    made = []
    for head in heads:
        keys = tuple(_key(use.table, term) for term in head)
        for tail in tails:
            rest = tuple(key for key in tail if key.sql not in {key.sql for key in keys})
            if keys or rest:
                made.append((*keys, *rest))
    return list(dict.fromkeys(made))


def _joins(terms: Iterable[Term]) -> list[Term]:
    return [term for term in terms if term.kind is Kind.JOIN]


def _key(table: Table, term: Term) -> Key:
    operators = ""
    if term.kind is Kind.PREFIX and not all(
        table.columns[column].binary_order for column in term.columns if column in table.columns
    ):
        operators = "text_pattern_ops"
    return Key(term.key, operators=operators, expression=not term.is_column)


def _ordered(table: Table, order: tuple[Order, ...]) -> tuple[Key, ...]:
    """The order as keys, backwards where that spares DESC, since indexes are read both ways."""
    if order and all(item.descending and item.nulls_first for item in order):
        order = tuple(item.reversed for item in order)
    return tuple(
        Key(item.key, item.descending, item.nulls_first, expression=not _names_column(table, item.key))
        for item in order
    )


def _grouped(table: Table, group: tuple[str, ...]) -> tuple[Key, ...]:
    return tuple(Key(item, expression=not _names_column(table, item)) for item in group)


def _names_column(table: Table, sql: str) -> bool:
    return sql.strip('"') in table.columns


def _distinct(table: Table, term: Term) -> float:
    if not term.is_column or term.columns[0] not in table.columns:
        return table.rows
    return table.columns[term.columns[0]].distinct


def _can_be_condition(table: Table, term: Term) -> bool:
    """Whether a partial index for the term would be small and for good."""
    if not term.condition or not term.is_column or term.columns[0] not in table.columns:
        return False
    column = table.columns[term.columns[0]]
    match term.kind:
        case Kind.NULL:
            return column.nulls <= SELECTIVE
        case Kind.NOT_NULL:
            return 1 - column.nulls <= SELECTIVE
        case Kind.EQUAL | Kind.IN:
            return 0 < column.distinct <= FEW_VALUES
    return False


def _any_key(use: Use, term: Term) -> tuple[Key, ...]:
    tail = _ordered(use.table, use.order)
    return tail or (_key(use.table, term),)


def _covering(use: Use, made: tuple[Candidate, ...]) -> Iterator[Candidate]:
    """The same with all columns that the statement reads, so that the table is not visited."""
    if use.columns is None or use.table.visible < 0.5:  # noqa: PLR2004 - most pages would be visited all the same
        return
    for candidate in made:
        if any(key.expression for key in candidate.keys):
            continue
        has = {key.sql.strip('"') for key in candidate.keys}
        conditions = {term.columns[0] for term in use.terms if term.condition and term.condition == candidate.where}
        rest = tuple(sorted(use.columns - has - conditions))
        width = sum(use.table.columns[name].width for name in rest if name in use.table.columns)
        if rest and len(rest) <= MAX_INCLUDED and width <= MAX_INCLUDED_WIDTH:
            yield Candidate(use.table, candidate.keys, rest, candidate.where)


def _inverted(use: Use, *, trigrams: bool) -> Iterator[Candidate]:
    """GIN for jsonb, arrays, text search and, where pg_trgm is there, patterns."""
    for term in use.terms:
        if term.kind is Kind.TRIGRAM and trigrams:
            yield Candidate(use.table, (_inverted_key(term, "gin_trgm_ops"),), method="gin")
        if term.kind is Kind.GIN:
            column = use.table.columns.get(term.columns[0]) if term.is_column else None
            jsonb = column is not None and column.type == "jsonb"
            if jsonb and term.operator in {"@>", "@@", "@?"}:
                yield Candidate(use.table, (_inverted_key(term, "jsonb_path_ops"),), method="gin")
            yield Candidate(use.table, (_inverted_key(term, ""),), method="gin")


def _inverted_key(term: Term, operators: str) -> Key:
    return Key(term.key, operators=operators, expression=not term.is_column)
