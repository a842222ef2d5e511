"""Small readings of libpg_query's parse tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import postgast
from postgast import pg_query_pb2 as pb

AND, OR, NOT = 1, 2, 3
"""`BoolExprType`."""

OP, OP_ANY, OP_ALL, IN, LIKE, ILIKE, BETWEEN = 1, 2, 3, 7, 8, 9, 11
"""`A_Expr_Kind`."""

EXISTS, ALL, ANY = 1, 2, 3
"""`SubLinkType`."""


def new() -> Any:
    """An empty `Node`."""
    return pb.Node()


def kind(node: Any) -> str:
    """The name of what a `Node` holds, such as `a_expr`; "" for none."""
    return node.WhichOneof("node") or "" if isinstance(node, pb.Node) else ""


def inner(node: Any) -> Any:
    """The message inside a `Node`."""
    name = kind(node)
    return getattr(node, name) if name else node


def text(node: Any) -> str:
    """The SQL of an expression."""
    tree = pb.ParseResult(version=180004)
    target = tree.stmts.add().stmt.select_stmt.target_list.add().res_target
    target.val.CopyFrom(node)
    return str(postgast.deparse(tree)).removeprefix("SELECT ")


def walk(message: Any) -> Iterator[Any]:
    """Every message below and including this one, `Node` wrappers left out."""
    if not isinstance(message, pb.Node):
        yield message
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for child in value if descriptor.is_repeated else (value,):
            yield from walk(child)


def nodes(message: Any, name: str) -> list[Any]:
    """All messages of a type below this one, such as `ColumnRef`."""
    return [found for found in walk(message) if found.DESCRIPTOR.name == name]


def names(parts: Any) -> list[str]:
    """The strings of a list of `String` nodes; `*` for a star."""
    return [part.string.sval if kind(part) == "string" else "*" for part in parts]


def is_constant(node: Any) -> bool:
    """Whether an expression names no column and holds no subquery: its value is known before the table is read."""
    return not nodes(node, "ColumnRef") and not nodes(node, "SubLink")


def is_literal(node: Any) -> bool:
    """Whether an expression is a literal, casts allowed."""
    while kind(node) == "type_cast":
        node = node.type_cast.arg
    return kind(node) == "a_const"


def string_of(node: Any) -> str | None:
    """The text of a string literal, casts allowed."""
    while kind(node) == "type_cast":
        node = node.type_cast.arg
    return node.a_const.sval.sval if kind(node) == "a_const" and node.a_const.HasField("sval") else None


def calls(node: Any) -> list[str]:
    """The names of the functions that an expression calls, in lower case and without schemas."""
    return [names(call.funcname)[-1].lower() for call in nodes(node, "FuncCall")]


def bare(node: Any) -> Any:
    """A copy of an expression whose columns have lost table and schema names."""
    copy = pb.Node()
    copy.CopyFrom(node)
    for column in nodes(copy, "ColumnRef"):
        last = pb.Node()
        last.CopyFrom(column.fields[-1])
        del column.fields[:]
        column.fields.add().CopyFrom(last)
    return copy


class Mask:
    """Shows a statement and its parts with `$n` for every literal, numbered alike in all of them."""

    def __init__(self, statement: Any) -> None:
        known = [found.number for found in nodes(statement, "ParamRef")]
        places = sorted({found.location for found in nodes(statement, "A_Const")})
        self._numbers = {place: number for number, place in enumerate(places, max(known, default=0) + 1)}

    def node(self, node: Any) -> Any:
        """A copy without literals."""
        copy = type(node)()
        copy.CopyFrom(node)
        for holder in holders(copy, "a_const"):
            if holder.a_const.location in self._numbers:
                holder.param_ref.number = self._numbers[holder.a_const.location]
        return copy

    def text(self, node: Any) -> str:
        """The SQL of an expression without literals."""
        return text(self.node(node))


def holders(message: Any, name: str) -> Iterator[Any]:
    """The `Node`s below and including a message that hold a kind of thing, such as `a_const`."""
    if isinstance(message, pb.Node) and kind(message) == name:
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for child in value if descriptor.is_repeated else (value,):
                yield from holders(child, name)


_LITERAL = re.compile(
    r"'(?:[^']|'')*('|$)|\$(\w*)\$.*?(\$\2\$|$)|\b\d[\d.]*(e[+-]?\d+)?\b|--[^\n]*|/\*.*?(\*/|$)", re.DOTALL
)
"""Literals, finished or not, and comments, which may hold anything."""

MAX_TEXT = 300
"""Characters shown of a statement that could not be parsed."""


def normalised(sql: str) -> str:
    """The statement with `$n` for its literals, on one line."""
    try:
        parsed = postgast.parse(sql)
        return str(postgast.deparse(Mask(parsed).node(parsed)))
    except postgast.PgQueryError:
        return " ".join(_LITERAL.sub("?", sql).split())[:MAX_TEXT]


def expression(sql: str) -> Any:
    """The parse tree of an expression."""
    return postgast.parse(f"SELECT {sql}").stmts[0].stmt.select_stmt.target_list[0].res_target.val
