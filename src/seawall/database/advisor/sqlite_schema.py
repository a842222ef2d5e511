"""Reads tables, columns and indexes of an SQLite database."""

from __future__ import annotations

from typing import Any

import postgast

from seawall.database.advisor import tree
from seawall.database.advisor.catalogue import key_of
from seawall.database.advisor.schema import Column, ExistingIndex, Schema, Table

ROWID = "the row's own number"
"""The name that the index of an INTEGER PRIMARY KEY goes by here: the table itself."""

LOOKED_AT = 20_000
"""Rows read for the statistics of a column."""


async def read_schema(database: Any) -> Schema:
    """All tables that are not SQLite's own."""
    names = await database.execute_fetchall(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' escape '\\'"
        " and sql not like 'create virtual%'"
    )
    return Schema([await _table(database, name) for (name,) in names], ["main"])


async def _table(database: Any, name: str) -> Table:
    safe = always_quoted(name)
    rows = await one(database, f"select count(*) from {safe}")  # noqa: S608
    columns = {}
    indexes = await _indexes(database, name)
    for _, column, declared, _, _, key in await database.execute_fetchall(f"pragma table_info({safe})"):
        columns[column] = await _column(database, safe, column, declared, rows)
        if key and declared.lower() == "integer":
            indexes = (*indexes, ExistingIndex(name=ROWID, definition="", keys=(column,), unique=True, constraint=True))
    return Table(
        schema="main",
        name=name,
        columns=columns,
        rows=rows,
        pages=0,
        indexes=indexes,
    )


async def _column(database: Any, table: str, name: str, declared: str, rows: int) -> Column:
    quick = f"select {always_quoted(name)} as v from {table} limit {LOOKED_AT}"  # noqa: S608
    seen, distinct, nulls = next(
        iter(await database.execute_fetchall(f"select count(*), count(distinct v), sum(v is null) from ({quick})"))  # noqa: S608
    )
    grows = seen < rows and distinct > seen / 10
    return Column(
        name=name,
        type=declared.lower(),
        distinct=distinct * rows / max(seen, 1) if grows else distinct,
        nulls=(nulls or 0) / max(seen, 1),
        binary_order=False,
    )


async def _indexes(database: Any, table: str) -> tuple[ExistingIndex, ...]:
    found = []
    safe = always_quoted(table)
    for _, name, unique, origin, partial in await database.execute_fetchall(f"pragma index_list({safe})"):
        parts = await database.execute_fetchall(f"pragma index_xinfo({always_quoted(name)})")
        sql = await one(database, "select sql from sqlite_master where type = 'index' and name = ?", name)
        keys = tuple(
            f"{column}{' DESC' if descending else ''}"
            for _, _, column, descending, _, is_key in parts
            if is_key and column
        )
        where = ""
        if sql is not None:
            try:
                parsed = tree.inner(postgast.parse(sql).stmts[0].stmt)
                keys = tuple(str(key_of(item.index_elem)) for item in parsed.index_params)
                where = tree.text(tree.bare(parsed.where_clause)) if partial else ""
            except postgast.PgQueryError:
                where = "unknown" if partial else ""
        found.append(
            ExistingIndex(
                name=name,
                definition=sql or "",
                keys=keys,
                predicate=where,
                unique=bool(unique),
                constraint=origin != "c",
            )
        )
    return tuple(found)


def always_quoted(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


async def one(database: Any, sql: str, *parameters: object) -> Any:
    """The first value of the first row; None without rows."""
    rows = list(await database.execute_fetchall(sql, parameters))
    return rows[0][0] if rows else None
