"""Reads tables, columns, indexes and their statistics from PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import postgast

from seawall.database.advisor import tree
from seawall.database.advisor.candidates import Key
from seawall.database.advisor.schema import Column, ExistingIndex, Schema, Table, quoted

MIN_SECONDS = 600
"""Counters younger than this say nothing about a rate."""

_TABLES = """
select c.oid, n.nspname as schema, c.relname as name, c.relkind::text as kind, c.reltuples::float8 as rows,
       c.relpages as pages, c.relallvisible as visible,
       case c.relkind when 'p' then (select coalesce(sum(pg_table_size(t.relid)), 0)::bigint
                                     from pg_partition_tree(c.oid) t where t.isleaf)
                      else pg_table_size(c.oid) end as bytes,
       (s.n_tup_ins + s.n_tup_upd)::float8 as writes,
       extract(epoch from now() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 as seconds
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_stat_user_tables s on s.relid = c.oid
left join pg_stat_database d on d.datname = current_database()
where c.relkind in ('r', 'm', 'p') and c.relpersistence <> 't'
  and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
"""

_VIEWS = """
select schemaname as schema, viewname as name, definition as sql from pg_views
where schemaname <> 'information_schema' and schemaname !~ '^pg_'
"""

_COLUMNS = """
select a.attrelid as oid, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
       coalesce(s.n_distinct, 0)::float8 as distinct, coalesce(s.most_common_freqs[1], 0)::float8 as common,
       coalesce(s.null_frac, 0)::float8 as nulls, coalesce(s.avg_width, 8)::float8 as width,
       a.attcollation = 0 or coalesce(l.collname, '') in ('C', 'POSIX', 'ucs_basic', 'pg_c_utf8')
         or (l.collname = 'default' and d.datcollate in ('C', 'POSIX', 'C.UTF-8', 'C.utf8')) as binary_order
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_database d on d.datname = current_database()
left join pg_collation l on l.oid = a.attcollation
left join lateral (select * from pg_stats s where s.schemaname = n.nspname and s.tablename = c.relname
                   and s.attname = a.attname order by s.inherited desc limit 1) s on true
where a.attrelid = any($1::oid[]) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""

_INDEXES = """
select i.indrelid as oid, c.relname as name, pg_get_indexdef(i.indexrelid) as definition, i.indisunique as unique,
       i.indisvalid as valid, pg_relation_size(i.indexrelid) as bytes, s.idx_scan as scans,
       i.indisprimary or i.indisreplident or i.indisclustered or i.indisexclusion
         or exists (select 1 from pg_constraint k where k.conindid = i.indexrelid)
         or exists (select 1 from pg_inherits h where h.inhrelid = i.indexrelid) as constraint
from pg_index i join pg_class c on c.oid = i.indexrelid
left join pg_stat_user_indexes s on s.indexrelid = i.indexrelid
where i.indrelid = any($1::oid[]) order by i.indexrelid
"""


async def read_schema(connection: Any) -> Schema:
    """All tables that are no system's."""
    rows = await connection.fetch(_TABLES)
    oids = [row["oid"] for row in rows]
    columns: dict[int, list[Any]] = defaultdict(list)
    for column in await connection.fetch(_COLUMNS, oids):
        columns[column["oid"]].append(column)
    indexes: dict[int, list[ExistingIndex]] = defaultdict(list)
    for index in await connection.fetch(_INDEXES, oids):
        indexes[index["oid"]].append(_index(index))
    path = await connection.fetchval("select current_schemas(false)::text[]")
    views = {(row["schema"], row["name"]): row["sql"] for row in await connection.fetch(_VIEWS)}
    return Schema([await _table(connection, row, columns, indexes) for row in rows], path, views)


async def _table(connection: Any, row: Any, columns: dict[int, list[Any]], indexes: dict[int, Any]) -> Table:
    tuples, pages = row["rows"], max(row["pages"], row["bytes"] // 8192)
    if tuples <= 0 and pages > 0 and row["kind"] != "p":
        name = f"{quoted(row['schema'])}.{quoted(row['name'])}"
        tuples = float(await connection.fetchval(f"select count(*) from (select 1 from {name} limit 200000) t"))  # noqa: S608
    seconds = row["seconds"] or 0
    return Table(
        schema=row["schema"],
        name=row["name"],
        kind=row["kind"],
        rows=max(tuples, 0.0),
        pages=pages,
        bytes=row["bytes"],
        visible=row["visible"] / row["pages"] if row["pages"] > 0 else 0.0,
        writes_per_second=row["writes"] / seconds if row["writes"] is not None and seconds >= MIN_SECONDS else None,
        columns={column["name"]: _column(column, tuples) for column in columns[row["oid"]]},
        indexes=tuple(indexes[row["oid"]]),
    )


def _column(row: Any, rows: float) -> Column:
    distinct = row["distinct"]
    return Column(
        name=row["name"],
        type=row["type"],
        distinct=-distinct * max(rows, 0) if distinct < 0 else distinct,
        common=row["common"],
        nulls=row["nulls"],
        width=row["width"],
        binary_order=row["binary_order"],
    )


def _index(row: Any) -> ExistingIndex:
    statement = tree.inner(postgast.parse(row["definition"]).stmts[0].stmt)
    where = statement.where_clause
    return ExistingIndex(
        name=row["name"],
        definition=row["definition"],
        keys=tuple(str(key_of(item.index_elem)) for item in statement.index_params),
        include=tuple(item.index_elem.name for item in statement.index_including_params),
        method=statement.access_method or "btree",
        predicate=tree.text(tree.bare(where)) if tree.kind(where) else "",
        unique=row["unique"],
        constraint=row["constraint"],
        valid=row["valid"],
        bytes=row["bytes"],
        scans=row["scans"],
    )


def key_of(element: Any) -> Key:
    """An element of CREATE INDEX as a key."""
    descending = element.ordering == 3  # noqa: PLR2004 - SORTBY_DESC
    nulls_first = element.nulls_ordering == 2 or (descending and element.nulls_ordering != 3)  # noqa: PLR2004
    operators = tree.names(element.opclass)[-1] if element.opclass else ""
    if element.name:
        return Key(quoted(element.name), descending, nulls_first, operators)
    return Key(tree.text(tree.bare(element.expr)), descending, nulls_first, operators, expression=True)
