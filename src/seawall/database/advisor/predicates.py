"""What a statement asks of each table: its predicates, joins, order and groups, read from the parse tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from seawall.database.advisor import tree
from seawall.database.advisor.schema import Table

RANGES = {"<", ">", "<=", ">="}
GIN_OPERATORS = {"@>", "<@", "&&", "?", "?|", "?&", "@@", "@?"}
_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "@>": "<@", "<@": "@>"}


class Kind(Enum):
    """How a term restricts its key."""

    EQUAL = "equal"
    IN = "in"
    RANGE = "range"
    PREFIX = "prefix"
    NULL = "null"
    NOT_NULL = "not null"
    JOIN = "join"
    GIN = "gin"
    TRIGRAM = "trigram"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One predicate on one table.

    key: the column, or the expression without table names. value: the other side where it is constant.
    condition: the predicate's SQL where it is literal, so that a partial index could have it.
    """

    key: str
    columns: tuple[str, ...]
    kind: Kind
    operator: str = "="
    value: Any = field(default=None, compare=False)
    condition: str = ""
    node: Any = field(default=None, compare=False)

    @property
    def is_column(self) -> bool:
        """Whether the key is a plain column."""
        return len(self.columns) == 1 and self.key.strip('"') == self.columns[0]


@dataclass(frozen=True)
class Order:
    """One key of ORDER BY."""

    key: str
    descending: bool = False
    nulls_first: bool = False

    @property
    def reversed(self) -> Order:
        """The same order read backwards."""
        return Order(self.key, not self.descending, not self.nulls_first)


@dataclass(eq=False)
class Use:
    """One appearance of a table in a statement.

    branches: sets of terms that hold together: the conjunction first, then one set for each arm of an OR.
    order: what the result is sorted by, if all of it is of this table; limited: whether only the first rows are read.
    range: where the parse tree names the table.
    group: the keys of GROUP BY or DISTINCT. columns: all columns of it that the statement reads; None for `*`.
    """

    alias: str
    table: Table
    range: Any = None
    branches: list[list[Term]] = field(default_factory=lambda: [[]])
    order: tuple[Order, ...] = ()
    limited: bool = False
    group: tuple[str, ...] = ()
    columns: set[str] | None = field(default_factory=set)

    @property
    def terms(self) -> list[Term]:
        """The terms of all branches."""
        return [term for branch in self.branches for term in branch]


class Scope(Mapping[str, Use]):
    """The tables a name can mean: those of the statement itself, then those around it."""

    def __init__(self, own: dict[str, Use], outer: Mapping[str, Use]) -> None:
        self.own = own
        self._outer = outer

    def __getitem__(self, name: str) -> Use:
        return self.own[name] if name in self.own else self._outer[name]

    def __iter__(self) -> Any:
        return iter({**dict(self._outer), **self.own})

    def __len__(self) -> int:
        return len({*self._outer, *self.own})

    def owner(self, column: Any) -> Use | None:
        """The table that a column reference means."""
        *prefix, name = tree.names(column.fields)
        if prefix:
            return self.get(prefix[-1])
        for scope in (self.own, self._outer):
            found = [use for use in scope.values() if name in use.table.columns]
            if found:
                return found[0] if len(found) == 1 else None
        return None


def terms_of(node: Any, inside: Scope) -> list[tuple[Use, Term]]:
    """The terms that a predicate brings to the tables it names; none where no index could serve it."""
    match tree.kind(node):
        case "a_expr":
            return _comparison(node, inside)
        case "null_test":
            kind = Kind.NULL if node.null_test.nulltesttype == 1 else Kind.NOT_NULL
            return _one(node.null_test.arg, kind, node, inside)
        case "column_ref":
            return _one(node, Kind.EQUAL, node, inside)
        case "bool_expr" if node.bool_expr.boolop == tree.NOT and tree.kind(node.bool_expr.args[0]) == "column_ref":
            return _one(node.bool_expr.args[0], Kind.EQUAL, node, inside)
        case "boolean_test":
            return _one(node.boolean_test.arg, Kind.OTHER, node, inside)
    return []


def _comparison(node: Any, inside: Scope) -> list[tuple[Use, Term]]:  # noqa: PLR0911 - one for each form
    expression = node.a_expr
    operator = tree.names(expression.name)[-1]
    left, right = expression.lexpr, expression.rexpr
    if expression.kind in {tree.LIKE, tree.ILIKE}:
        return _like(node, operator, inside)
    if expression.kind == tree.IN and operator == "=":
        return _one(left, Kind.IN, node, inside, value=right)
    if expression.kind == tree.OP_ANY and operator == "=" and _known(right, inside, left):
        return _one(left, Kind.IN, node, inside, value=right)
    if expression.kind == tree.BETWEEN:
        return _one(left, Kind.RANGE, node, inside, operator=">=", value=right)
    if expression.kind != tree.OP:
        return []
    if operator == "=" and (joined := _join(node, inside)):
        return joined
    kind = {"=": Kind.EQUAL, "<>": Kind.OTHER, "!=": Kind.OTHER}.get(operator)
    kind = kind or (Kind.RANGE if operator in RANGES else Kind.GIN if operator in GIN_OPERATORS else None)
    if kind is None:
        return []
    if _known(right, inside, left):
        return _one(left, kind, node, inside, operator=operator, value=right)
    if _known(left, inside, right):
        return _one(right, kind, node, inside, operator=_MIRROR.get(operator, operator), value=left)
    return []


def _like(node: Any, operator: str, inside: Scope) -> list[tuple[Use, Term]]:
    if operator not in {"~~", "~~*"} or not tree.is_constant(node.a_expr.rexpr):
        return []
    pattern = tree.string_of(node.a_expr.rexpr)
    begins = pattern is not None and pattern != "" and pattern[0] not in "%_"  # $1 may hold any pattern
    kind = Kind.PREFIX if operator == "~~" and begins else Kind.TRIGRAM
    return _one(node.a_expr.lexpr, kind, node, inside, operator=operator, value=node.a_expr.rexpr)


def _join(node: Any, inside: Scope) -> list[tuple[Use, Term]]:
    """Equal columns of two tables, or of one and of something else with columns, such as a CTE."""
    sides = (node.a_expr.lexpr, node.a_expr.rexpr)
    owners = [owner_of([side], inside) for side in sides]
    if owners[0] is owners[1] or any(tree.is_constant(side) or tree.nodes(side, "SubLink") for side in sides):
        return []
    return [(use, term_of(side, Kind.JOIN, node)) for side, use in zip(sides, owners, strict=True) if use is not None]


def _one(
    key: Any, kind: Kind, node: Any, inside: Scope, *, operator: str = "=", value: Any = None
) -> list[tuple[Use, Term]]:
    use = owner_of([key], inside)
    if use is None:
        return []
    literal = value is None or all(tree.is_literal(item) for item in _items(value))
    condition = tree.text(tree.bare(node)) if literal and kind not in {Kind.GIN, Kind.TRIGRAM, Kind.PREFIX} else ""
    return [(use, term_of(key, kind, node, operator=operator, value=value, condition=condition))]


def _items(value: Any) -> list[Any]:
    return list(value.list.items) if tree.kind(value) == "list" else [value]


def term_of(key: Any, kind: Kind, node: Any, *, operator: str = "=", value: Any = None, condition: str = "") -> Term:
    """A term on the columns that an expression names."""
    columns = tuple(dict.fromkeys(tree.names(found.fields)[-1] for found in tree.nodes(key, "ColumnRef")))
    return Term(
        key=tree.text(tree.bare(key)),
        columns=columns,
        kind=kind,
        operator=operator,
        value=value,
        condition=condition,
        node=node,
    )


def _known(node: Any, inside: Scope, other: Any) -> bool:
    """Whether a value is known before the table of `other` is read."""
    if all(link.sub_link_type not in {tree.ANY, tree.ALL} for link in tree.nodes(node, "SubLink")):
        owners = {inside.owner(column) for column in tree.nodes(node, "ColumnRef")}
        return owner_of([other], inside) not in owners and (not owners or bool(tree.nodes(node, "SubLink")))
    return False


def owner_of(parts: Iterable[Any], inside: Scope) -> Use | None:
    """The one table whose columns all the parts name; None where there are several, none, or a subquery."""
    owners: set[Use | None] = set()
    for part in parts:
        if tree.nodes(part, "SubLink"):
            return None
        columns = tree.nodes(part, "ColumnRef")
        if not columns:
            return None
        owners.update(inside.owner(column) for column in columns)
    return owners.pop() if len(owners) == 1 else None
