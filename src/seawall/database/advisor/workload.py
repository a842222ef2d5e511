"""Where the statements of an analysis come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import postgast

from seawall.database.advisor.report import Statement

_RECORDED = """
select s.query, s.calls, s.total_exec_time / 1000 as seconds from pg_stat_statements s
where s.dbid = (select oid from pg_database where datname = current_database()) and s.toplevel
  and s.query ~* '^\\s*(/\\*.*?\\*/\\s*)*(select|with|update|delete|insert)'
  and s.query !~* '\\m(pg_catalog|pg_stat_\\w+|pg_class|pg_attribute|information_schema|seawall_\\w+)\\M'
order by s.total_exec_time desc limit $1
"""


class Recorded(Protocol):
    """A line of Seawall's own query statistics."""

    @property
    def statement(self) -> str:
        """Its normalised text."""
        ...

    @property
    def count(self) -> int:
        """How often it ran."""
        ...

    @property
    def seconds(self) -> float:
        """How long altogether."""
        ...


def from_sql(text: str) -> list[Statement]:
    """The statements of a script, one or many, separated by semicolons."""
    try:
        parts = postgast.split(text)
    except postgast.PgQueryError:
        parts = text.split(";")
    return [Statement(sql=part.strip().rstrip(";")) for part in parts if part.strip(" \n\t;")]


def from_statistics(queries: Iterable[Recorded]) -> list[Statement]:
    """The statements that Seawall's own statistics have seen."""
    return [Statement(sql=query.statement, calls=query.count, seconds=query.seconds) for query in queries]


async def from_server(connection: Any, limit: int) -> Sequence[Statement] | None:
    """What took most time according to pg_stat_statements; None where it isn't installed."""
    place = await connection.fetchval(
        "select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace"
        " where e.extname = 'pg_stat_statements'"
    )
    if place is None:
        return None
    sql = _RECORDED.replace("from pg_stat_statements", f"from {place}.pg_stat_statements")
    rows = await connection.fetch(sql, limit)
    return [Statement(sql=row["query"], calls=row["calls"], seconds=row["seconds"]) for row in rows]
