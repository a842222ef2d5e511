"""Placeholders of SQLite statements, and plausible values for them."""

from __future__ import annotations

import re
from typing import Any

from seawall.database.advisor import tree
from seawall.database.advisor.predicates import Kind, Term
from seawall.database.advisor.reader import Reader
from seawall.database.advisor.sqlite_schema import always_quoted

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|::|\?\d*|[:@][A-Za-z_]\w*", re.DOTALL)


def numbered(sql: str) -> str:
    """The statement with `$1`, `$2` for `?`, `?1`, `:name` and `@name`."""
    known: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        text = found[0]
        if text == "::" or text[0] in "'\"-/":
            return text
        name = f"{text}{len(known)}" if text == "?" else text
        return f"${known.setdefault(name, len(known) + 1)}"

    return _TOKEN.sub(number, sql)


async def filled_in(database: Any, sql: str, parsed: Any, reader: Reader) -> str:
    """The statement with a literal for each placeholder, taken from a row in the middle of its table."""
    values: dict[int, str] = {}
    for select in tree.nodes(parsed, "SelectStmt"):
        values |= {found.location: "20" for found in tree.nodes(select.limit_count, "ParamRef")}
        values |= {found.location: "0" for found in tree.nodes(select.limit_offset, "ParamRef")}
    for use in reader.uses:
        for term in use.terms:
            places = tree.nodes(term.value, "ParamRef") if term.value is not None else []
            if places:
                values |= await _values(database, use.table.name, term, [found.location for found in places])
    data = sql.encode()
    for found in sorted(tree.nodes(parsed, "ParamRef"), key=lambda found: -found.location):
        end = found.location + len(f"${found.number}")
        data = data[: found.location] + values.get(found.location, "NULL").encode() + data[end:]
    return data.decode()


async def _values(database: Any, table: str, term: Term, places: list[int]) -> dict[int, str]:
    key, name = term.key, always_quoted(table)
    parts = [1, 2]
    sql = f"select quote({key}) from {name} where {key} is not null limit 1 offset (select count(*) / ? from {name})"  # noqa: S608
    if term.kind is Kind.RANGE:
        parts = [20, 19] if term.operator in {"<", "<="} or len(places) > 1 else [20]
        direction = "desc" if term.operator in {">", ">="} and len(places) == 1 else "asc"
        sql = sql.replace(" limit 1", f" order by {key} {direction} limit 1")
    if term.kind in {Kind.PREFIX, Kind.TRIGRAM}:
        sql = sql.replace(f"quote({key})", f"quote(substr({key}, 1, 4) || '%')")
    found = {}
    for number, place in enumerate(places):
        rows = list(await database.execute_fetchall(sql, (parts[min(number, len(parts) - 1)] + 1,)))
        if rows:
            found[place] = rows[0][0]
    return found
