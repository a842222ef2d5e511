"""What is wrong with the indexes that exist, and foreign keys without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from seawall.database.advisor.report import IndexProblem, Severity
from seawall.database.advisor.schema import ExistingIndex, Schema, Table, quoted

SMALL = 64 * 1024
"""An unused index of fewer bytes is not worth a word."""

MIN_ROWS = 10_000
"""A foreign key from a smaller table needs no index."""

_FOREIGN_KEYS = """
select n.nspname as schema, c.relname as name, k.conname as constraint, k.confrelid::regclass::text as target,
       (select array_agg(a.attname::text order by u.place) from unnest(k.conkey) with ordinality u(number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number) as columns
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'f' and k.conparentid = 0 order by 1, 2, 3
"""

_SINCE = """
select to_char(coalesce(stats_reset, pg_postmaster_start_time()), 'YYYY-MM-DD HH24:MI'),
       extract(epoch from now() - coalesce(stats_reset, pg_postmaster_start_time())) / 86400
from pg_stat_database where datname = current_database()
"""


async def index_problems(
    connection: Any, schema: Schema, advised: Callable[[str, list[str]], bool]
) -> tuple[IndexProblem, ...]:
    """Invalid, duplicate, redundant and unused indexes, and foreign keys without an index.

    advised: whether an index on a table and columns is advised already.
    """
    since, days = await connection.fetchrow(_SINCE)
    found: list[IndexProblem] = []
    for table in schema:
        told = [*_invalid(table), *redundant(table)]
        names = {name for problem in told for name in (problem.index, problem.keeps)}
        found += told
        found += [problem for problem in _unused(table, since, float(days)) if problem.index not in names]
    for key in await connection.fetch(_FOREIGN_KEYS):
        source = schema.find(key["schema"], key["name"])
        if source is not None and not advised(source.shown, key["columns"]):
            found += foreign_key(source, key["columns"], key["target"])
    return tuple(found)


def _drop(table: Table, index: ExistingIndex) -> str:
    how = "" if table.schema == "main" else "CONCURRENTLY "
    return f"DROP INDEX {how}{quoted(table.schema)}.{quoted(index.name)};"


def _invalid(table: Table) -> Iterator[IndexProblem]:
    for index in table.indexes:
        if not index.valid:
            yield IndexProblem(
                kind="invalid",
                table=table.shown,
                index=index.name,
                reason="a CREATE INDEX CONCURRENTLY failed: it is kept at every write and never read",
                ddl=f"REINDEX INDEX CONCURRENTLY {quoted(table.schema)}.{quoted(index.name)};",
                bytes=index.bytes,
                severity=Severity.WARNING,
            )


def redundant(table: Table) -> Iterator[IndexProblem]:
    """Indexes of which another one does the work."""
    dropped: set[str] = set()
    for index in table.indexes:
        if index.unique or index.constraint or not index.valid:
            continue
        for other in table.indexes:
            if other is index or other.name in dropped or not other.valid or not _serves(other, index):
                continue
            same = other.keys == index.keys and other.include == index.include
            dropped.add(index.name)
            yield IndexProblem(
                kind="duplicate" if same else "redundant",
                table=table.shown,
                index=index.name,
                reason=f"{other.name} {'is the same' if same else 'begins with the same keys'}",
                ddl=_drop(table, index),
                bytes=index.bytes,
                severity=Severity.WARNING if same else Severity.NOTE,
                keeps=other.name,
            )
            break


def _serves(other: ExistingIndex, index: ExistingIndex) -> bool:
    """Whether all that `index` does, `other` does too."""
    if other.method != index.method or other.predicate != index.predicate:
        return False
    if index.method != "btree":
        return other.keys == index.keys
    return other.keys[: len(index.keys)] == index.keys and set(index.include) <= {*other.include, *other.keys}


def _unused(table: Table, since: str, days: float) -> Iterator[IndexProblem]:
    for index in table.indexes:
        if index.scans != 0 or index.unique or index.constraint or not index.valid or index.bytes < SMALL:
            continue
        young = " (too short to judge)" if days < 7 else ""  # noqa: PLR2004 - a week has every weekly job
        yield IndexProblem(
            kind="unused",
            table=table.shown,
            index=index.name,
            reason=f"not read on this server since {since}{young}; replicas count their own reads, so look there too",
            ddl=_drop(table, index),
            bytes=index.bytes,
        )


def foreign_key(table: Table, columns: list[str], target: str) -> Iterator[IndexProblem]:
    """A foreign key whose own side has no index."""
    wanted = set(map(quoted, columns))
    served = any(
        index.valid and not index.predicate and set(index.keys[: len(columns)]) == wanted for index in table.indexes
    )
    if served or table.rows < MIN_ROWS:
        return
    names = ", ".join(map(quoted, columns))
    how = f"{quoted('_'.join([table.name, *columns, 'idx']))} " if table.schema == "main" else "CONCURRENTLY "
    yield IndexProblem(
        kind="foreign key",
        table=table.shown,
        index="",
        reason=f"deleting from {target}, or changing its key, reads all of {table.shown} for each row",
        ddl=f"CREATE INDEX {how}ON {table.qualified if table.schema != 'main' else quoted(table.name)} ({names});",
    )
