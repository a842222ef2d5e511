"""Plausible values for the placeholders of a statement, all taken from one row of each table."""

from __future__ import annotations

from typing import Any

from seawall.database.advisor import tree
from seawall.database.advisor.predicates import Kind, Term, Use
from seawall.database.advisor.reader import Reader
from seawall.database.advisor.schema import quoted

DEFAULTS = {"interval": "7 days", "date": "today", "timestamptz": "now", "timestamp": "now", "int4": "1", "int8": "1"}
"""Values for placeholders of a known type that no column explains."""

ROWS = 20
"""What LIMIT $n stands for; OFFSET $n is 0."""


async def fill_in(connection: Any, statement: Any, reader: Reader, sources: dict[str, str]) -> bool:
    """Put values in the place of all placeholders of the parse tree. Returns whether every one got a value.

    sources: the relation to take values from, by qualified name of the table. The values come from one row, so that
    equalities on several columns find something together; ranges keep the outer tenth.
    """
    for select in tree.nodes(statement, "SelectStmt"):
        for node, value in ((select.limit_count, ROWS), (select.limit_offset, 0)):
            if tree.kind(node) and tree.nodes(node, "ParamRef"):
                node.CopyFrom(_integer(value))
    for use in reader.uses:
        wanted = [term for term in use.terms if term.value is not None and tree.nodes(term.node, "ParamRef")]
        if wanted and use.table.qualified in sources:
            await _from_row(connection, use, wanted, sources[use.table.qualified])
    for call in tree.nodes(statement, "FuncCall"):
        if tree.names(call.funcname)[-1] in {"date_trunc", "date_part"} and tree.kind(call.args[0]) == "param_ref":
            call.args[0].CopyFrom(_string("day"))
    for cast in tree.nodes(statement, "TypeCast"):
        default = DEFAULTS.get(tree.names(cast.type_name.names)[-1])
        if default is not None and tree.kind(cast.arg) == "param_ref":
            cast.arg.CopyFrom(_string(default))
    return not tree.nodes(statement, "ParamRef")


async def _from_row(connection: Any, use: Use, wanted: list[Term], source: str) -> None:
    plans = [(term, value, sql) for term in wanted for value, sql in _expressions(use, term)]
    if not plans:
        return
    columns = dict.fromkeys(name for term in wanted for name in term.columns)
    present = " and ".join(f"{quoted(name)} is not null" for name in columns)
    plans = [(term, value, sql.replace("__source__", source)) for term, value, sql in plans]
    extremes = ", ".join(f"({sql})::text, format_type(pg_typeof({sql}), null)" for _, _, sql in plans)
    alias = quoted(use.alias)
    row = await connection.fetchrow(
        f"select {extremes} from {source} {alias} where {present}"  # noqa: S608
        f" offset (select count(*) / 2 from {source} where {present}) limit 1"
    )
    if row is None:
        return
    for position, (_, value, _) in enumerate(plans):
        found, type_name = row[2 * position], row[2 * position + 1]
        if found is not None:
            value.CopyFrom(_typed(found, type_name))


def _expressions(use: Use, term: Term) -> list[tuple[Any, str]]:
    """The placeholders of a term and the SQL of a value for each."""
    key = term.key
    value = term.value
    values = list(value.list.items) if tree.kind(value) == "list" else [value]
    parameters = [item for item in values if tree.nodes(item, "ParamRef")]
    plain = [item for item in parameters if _is_parameter(item)]
    match term.kind:
        case Kind.EQUAL | Kind.OTHER:
            return [(item, key) for item in plain]
        case Kind.IN:
            array = tree.kind(term.node) == "a_expr" and term.node.a_expr.kind == tree.OP_ANY
            return [(item, f"array[{key}]" if array else key) for item in plain]
        case Kind.TRIGRAM:
            return [(item, f"'%' || substr({key}, 2, 6) || '%'") for item in plain]
        case Kind.RANGE:
            low_first = len(values) == 2  # noqa: PLR2004 - BETWEEN
            parts = (0.45, 0.5) if low_first else ((0.95,) if term.operator in {">", ">="} else (0.05,))
            return [
                (item, _share(key, parts[min(index, len(parts) - 1)]))
                for index, item in enumerate(values)
                if item in plain
            ]
        case Kind.GIN:
            return [(item, sql) for item in plain if (sql := _inside(use, term)) is not None]
    return []


def _share(key: str, part: float) -> str:
    """The value below which a part of the rows lies."""
    return f"(select percentile_disc({part}) within group (order by {key}) from __source__)"  # noqa: S608


def _inside(use: Use, term: Term) -> str | None:
    """A part of the value that a GIN index would find it by."""
    column = use.table.columns.get(term.columns[0]) if term.is_column else None
    if column is not None and column.type == "jsonb":
        if term.operator in {"?", "?|", "?&"}:
            one = f"(select k from jsonb_object_keys({term.key}) k limit 1)"  # noqa: S608
            return one if term.operator == "?" else f"array[{one}]"
        return f"(select jsonb_build_object(k, v) from jsonb_each({term.key}) e(k, v) limit 1)"  # noqa: S608
    if column is not None and column.type.endswith("[]"):
        return f"({term.key})[1:1]"
    if term.operator == "@@":
        return f"to_tsquery('simple', quote_literal((tsvector_to_array({term.key}))[1]))"
    return None


def _is_parameter(node: Any) -> bool:
    while tree.kind(node) == "type_cast":
        node = node.type_cast.arg
    return tree.kind(node) == "param_ref"


def _integer(value: int) -> Any:
    node = tree.new()
    node.a_const.ival.ival = value
    return node


def _string(value: str) -> Any:
    node = tree.new()
    node.a_const.sval.sval = value
    return node


def _typed(value: str, type_name: str) -> Any:
    parsed = tree.expression(f"''::{type_name}")
    parsed.type_cast.arg.CopyFrom(_string(value))
    return parsed
