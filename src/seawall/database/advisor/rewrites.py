"""Predicates that no index can serve as they stand, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from seawall.database.advisor import tree
from seawall.database.advisor.predicates import Use
from seawall.database.advisor.reader import Reader
from seawall.database.advisor.report import RewriteAdvice, Severity

DEEP = 1000
"""From this OFFSET on, pages by key are worth it."""

Found = tuple[Any, str, str, Severity]
"""The predicate, the reason, the rewrite and how much it matters."""

_INTEGERS = {"smallint", "integer", "bigint"}
_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}
_OPPOSITE = {"+": "-", "-": "+"}


class Rewrites:
    """Looks for such predicates in one statement. Literals are shown as `$n`, as in the statement itself."""

    def __init__(self, reader: Reader, parsed: Any) -> None:
        self._reader = reader
        self._parsed = parsed
        self._mask = tree.Mask(parsed)
        self.keys: set[str] = set()
        """The expressions that a rewrite makes needless, so that they need no index."""

    def of(self, shown: str, *, big: Collection[str]) -> list[RewriteAdvice]:
        """The advice for the statement; only predicates on the big tables count."""
        advice = []
        for node, scope in self._reader.conditions:
            uses = {use for column in tree.nodes(node, "ColumnRef") if (use := _owner(column, scope)) is not None}
            if any(use.table.qualified in big for use in uses):
                advice += [self._advice(shown, found) for found in self._of(node, scope)]
        return [*advice, *self._offsets(shown)]

    def _advice(self, shown: str, found: Found) -> RewriteAdvice:
        predicate, reason, rewrite, severity = found
        if severity is Severity.WARNING and tree.kind(predicate) == "a_expr":
            self.keys |= {tree.text(tree.bare(side)) for side in (predicate.a_expr.lexpr, predicate.a_expr.rexpr)}
        return RewriteAdvice(
            statement=shown, predicate=self._text(predicate), reason=reason, rewrite=rewrite, severity=severity
        )

    def _text(self, node: Any) -> str:
        return self._mask.text(node)

    def _of(self, node: Any, scope: Mapping[str, Use]) -> Iterator[Found]:
        if tree.kind(node) == "bool_expr":
            yield from self._boolean(node, scope)
        if tree.kind(node) != "a_expr":
            return
        expression = node.a_expr
        operator = tree.names(expression.name)[-1]
        if expression.kind in {tree.LIKE, tree.ILIKE}:
            yield from self._pattern(node, operator)
        elif expression.kind == tree.OP_ANY and operator == "=" and tree.nodes(expression.rexpr, "ColumnRef"):
            if tree.is_constant(expression.lexpr):
                array, value = self._text(expression.rexpr), self._text(expression.lexpr)
                reason = "= ANY (column) looks at every row; @> can use a GIN index"
                yield node, reason, f"{array} @> ARRAY[{value}]", Severity.WARNING
        elif expression.kind == tree.OP and operator in {"<>", "!="}:
            reason = "<> matches nearly all rows, so an index rarely helps"
            yield node, reason, "name the wanted values with IN (…), or keep a partial index for the few", Severity.NOTE
        elif expression.kind == tree.OP and operator in _MIRROR:
            yield from self._comparison(node, operator, scope)

    def _boolean(self, node: Any, scope: Mapping[str, Use]) -> Iterator[Found]:
        arms = node.bool_expr.args
        if node.bool_expr.boolop == tree.NOT:
            if tree.kind(arms[0]) == "sub_link" and arms[0].sub_link.sub_link_type == tree.ANY:
                reason = "NOT IN (SELECT …) can't become an anti-join, and one NULL in the subquery empties the result"
                yield node, reason, self._not_exists(arms[0].sub_link, scope), Severity.WARNING
            elif tree.kind(arms[0]) == "a_expr" and arms[0].a_expr.kind in {tree.LIKE, tree.ILIKE}:
                yield node, "NOT LIKE matches nearly all rows", "no index helps; name what is wanted", Severity.NOTE
        elif node.bool_expr.boolop == tree.OR:
            owners = [{_owner(column, scope) for column in tree.nodes(arm, "ColumnRef")} - {None} for arm in arms]
            if len({owner for found in owners for owner in found}) > 1 and not set.intersection(*owners):
                reason = "OR over different tables can be tested only after the join"
                yield node, reason, "one SELECT for each side of the OR, joined by UNION", Severity.WARNING

    def _not_exists(self, link: Any, scope: Mapping[str, Use]) -> str:
        select = link.subselect.select_stmt
        plain = tree.kind(link.subselect) == "select_stmt" and len(select.target_list) == len(select.from_clause) == 1
        if not plain or select.group_clause or select.sort_clause or tree.kind(select.limit_count):
            return "NOT EXISTS (SELECT …) with the equality in its WHERE"
        inside = select.from_clause[0].range_var
        inner = self._qualified(select.target_list[0].res_target.val, inside.alias.aliasname or inside.relname)
        owner = _owner(link.testexpr.column_ref, scope)
        outer = self._qualified(link.testexpr, owner.alias if owner is not None else "")
        where = f" AND {self._text(select.where_clause)}" if tree.kind(select.where_clause) else ""
        table = inside.relname + (f" {inside.alias.aliasname}" if inside.alias.aliasname else "")
        return f"NOT EXISTS (SELECT FROM {table} WHERE {inner} = {outer}{where})"

    def _qualified(self, node: Any, alias: str) -> str:
        text = self._text(node)
        return (
            f"{alias}.{text}"
            if tree.kind(node) == "column_ref" and len(node.column_ref.fields) == 1 and alias
            else text
        )

    def _pattern(self, node: Any, operator: str) -> Iterator[Found]:
        pattern = tree.string_of(node.a_expr.rexpr)
        if operator not in {"~~", "~~*"} or pattern is None or not pattern.startswith(("%", "_")):
            return
        column = self._text(tree.bare(node.a_expr.lexpr))
        reason = "a pattern that begins with a wildcard can't be looked up in an ordinary index"
        yield (
            node,
            reason,
            f"search words with to_tsvector(…) @@ …, anchor the pattern, or CREATE EXTENSION pg_trgm and a GIN index"
            f" on {column} gin_trgm_ops",
            Severity.NOTE,
        )

    def _comparison(self, node: Any, operator: str, scope: Mapping[str, Use]) -> Iterator[Found]:
        left, right = node.a_expr.lexpr, node.a_expr.rexpr
        if tree.is_constant(left) and not tree.is_constant(right):
            left, right, operator = right, left, _MIRROR[operator]
        if not tree.is_constant(right) or tree.is_constant(left):
            return
        match tree.kind(left):
            case "func_call":
                yield from self._function(node, left, operator, right, scope)
            case "type_cast":
                yield from self._cast(node, left, operator, right, scope)
            case "a_expr":
                yield from self._arithmetic(node, left, operator, right)
            case "column_ref":
                column = _column(left, scope)
                number = right.a_const if tree.kind(right) == "a_const" else None
                if column in _INTEGERS and number is not None and number.HasField("fval"):
                    reason = f"the value is numeric, so the {column} column is converted in every row"
                    yield node, reason, f"pass the value as {column}", Severity.WARNING

    def _function(self, node: Any, left: Any, operator: str, right: Any, scope: Mapping[str, Use]) -> Iterator[Found]:
        call = left.func_call
        name = tree.names(call.funcname)[-1].lower()
        columns = [argument for argument in call.args if tree.kind(argument) == "column_ref"]
        if not columns or _column(columns[0], scope) not in {"timestamp with time zone", "timestamp without time zone"}:
            return
        key, value = self._text(columns[0]), self._text(right)
        reason = f"{name}() of the column is computed for every row"
        if name == "date_trunc" and operator == "=":
            unit = tree.string_of(call.args[0]) or "day"
            step = f"interval '1 {unit}'"
            reason += ", and depends on the time zone, so it can't be indexed"
            yield node, reason, f"{key} >= {value} AND {key} < {value} + {step}", Severity.WARNING
        elif name == "date_trunc":
            yield node, reason, f"compare {key} itself with the bound", Severity.WARNING
        elif name == "date" and operator == "=":
            yield node, reason, f"{key} >= {value} AND {key} < {value}::date + 1", Severity.WARNING
        elif name in {"extract", "date_part"} and (tree.string_of(call.args[0]) or "").lower() == "year":
            bounds = f"{key} >= make_date({value}, 1, 1) AND {key} < make_date({value} + 1, 1, 1)"
            yield node, reason, bounds, Severity.WARNING
        elif name in {"extract", "date_part", "to_char", "date", "age"}:
            yield node, reason, f"compare {key} itself with the bounds of the period", Severity.WARNING

    def _cast(self, node: Any, left: Any, operator: str, right: Any, scope: Mapping[str, Use]) -> Iterator[Found]:
        cast = left.type_cast
        if tree.kind(cast.arg) != "column_ref":
            return
        column, target = _column(cast.arg, scope), tree.names(cast.type_name.names)[-1]
        if (
            column is None
            or target == column
            or (target in {"text", "varchar"} and column.startswith(("char", "text")))
        ):
            return
        key, value = self._text(cast.arg), self._text(right)
        reason = f"the {column} column is converted to {target} in every row"
        if target == "date" and column.startswith("timestamp"):
            bounds = {
                "=": f"{key} >= {value}::date AND {key} < {value}::date + 1",
                ">=": f"{key} >= {value}::date",
                "<": f"{key} < {value}::date",
                ">": f"{key} >= {value}::date + 1",
                "<=": f"{key} < {value}::date + 1",
            }
            yield node, reason, bounds[operator], Severity.WARNING
        else:
            yield node, reason, f"{key} {operator} {value}::{column}", Severity.WARNING

    def _arithmetic(self, node: Any, left: Any, operator: str, right: Any) -> Iterator[Found]:
        inner = left.a_expr
        sign = tree.names(inner.name)[-1] if inner.kind == tree.OP else ""
        if sign not in _OPPOSITE or not tree.is_constant(inner.rexpr) or tree.kind(inner.lexpr) != "column_ref":
            return
        key, value, shift = self._text(inner.lexpr), self._text(right), self._text(inner.rexpr)
        reason = "the column is part of a calculation, which is made for every row"
        yield node, reason, f"{key} {operator} {value} {_OPPOSITE[sign]} {shift}", Severity.WARNING

    def _offsets(self, shown: str) -> Iterator[RewriteAdvice]:
        for select in tree.nodes(self._parsed, "SelectStmt"):
            offset = select.limit_offset
            if tree.kind(offset) != "a_const" or offset.a_const.ival.ival < DEEP:
                continue
            keys = ", ".join(self._text(item.sort_by.node) for item in select.sort_clause) or "a unique key"
            yield RewriteAdvice(
                statement=shown,
                predicate=f"OFFSET {self._text(offset)}",
                reason=f"OFFSET of {DEEP} or more reads and throws away all rows before the page",
                rewrite=f"page by key: WHERE ({keys}) > (the last row's values) ORDER BY {keys} LIMIT …",
            )


def _owner(column: Any, scope: Mapping[str, Use]) -> Use | None:
    owner = getattr(scope, "owner", None)
    return owner(column) if owner is not None else None


def _column(node: Any, scope: Mapping[str, Use]) -> str | None:
    """The type of a column, without length."""
    use = _owner(node.column_ref, scope)
    column = use.table.columns.get(tree.names(node.column_ref.fields)[-1]) if use is not None else None
    return re.sub(r"\(\d+(,\d+)?\)", "", column.type) if column is not None else None
