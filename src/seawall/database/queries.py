"""Whether a query only reads, judged by every name in it."""

from __future__ import annotations

from typing import Any

from seawall.database.catalogue import Catalogue, Names
from seawall.database.functions import SESSION
from seawall.database.statements import StatementClass
from seawall.database.syntax import Tree, strings

_COMPARING = frozenset({"sortClause", "groupClause", "distinctClause", "windowClause", "usingClause", "isNatural",
    "CaseExpr", "SubLink", "MinMaxExpr", "agg_distinct", "agg_order", "RangeTableFunc"})  # fmt: skip
_BETWEEN = frozenset({"AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN", "AEXPR_BETWEEN_SYM", "AEXPR_NOT_BETWEEN_SYM"})


class Query:
    """One pass over a parse tree. What it finds is in `kind`, `unknown` and `by_value`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._relations: list[tuple[str, ...]] = []
        self._tables: set[str] = set()
        self.kind = StatementClass.READ
        self.unknown = False
        """It has a name that the catalogue doesn't know."""
        self.by_value = False
        """Another value in the same place may be of another class."""

    def read(self, tree: Any) -> StatementClass:
        """READ, WRITE or SESSION."""
        waiting = [tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, list):
                waiting += node
            elif isinstance(node, dict):
                for key, value in node.items():
                    if isinstance(value, (dict, list)):
                        self._look(key, value)
                        waiting.append(value)
                    elif key == "op" and value != "SETOP_NONE":
                        self._compares()
                if "names" in node:
                    self._check(self._catalogue.types, strings(node["names"]))
                if node.get("isNatural"):
                    self._compares()
        for name in self._relations:
            known = self._catalogue.relations.safe(*name)
            if known is False or (known is None and not (len(name) == 1 and name[0] in self._tables)):
                self._refuse(unknown=known is None)
        if not self._catalogue.usable:
            self._refuse()
        return self.kind

    def _look(self, key: str, value: Any) -> None:
        if key in _COMPARING:
            self._compares()
        if look := _LOOKS.get(key):
            look(self, value)
        elif key.endswith("Stmt") and key != "SelectStmt":
            self._refuse()

    def _refuse(self, *_: Any, unknown: bool = False, session: bool = False) -> None:
        self.unknown = self.unknown or unknown
        if session:
            self.kind = StatementClass.SESSION
        elif self.kind is StatementClass.READ:
            self.kind = StatementClass.WRITE

    def _check(self, names: Names, name: tuple[str, ...]) -> None:
        safe = names.safe(*name) if name else None
        if not safe:
            self._refuse(unknown=safe is None)

    def _compares(self) -> None:
        if not self._catalogue.safe_comparisons:
            self._refuse()

    def _function(self, call: Tree) -> None:
        name = strings(call["funcname"])
        arguments = call.get("args", [])
        if name[-1] == "current_setting":
            self.by_value = True
            setting = _constant(arguments[0]) if arguments else ""
            if "." in setting and len(name) == 1:
                return  # one that applications make; who sets it stays on the primary
        if name[-1] == "set_config":
            self.by_value = True
            self._refuse(session=not (len(arguments) == 3 and _is_true(arguments[2])))  # noqa: PLR2004
        elif name[-1] in SESSION:
            self._refuse(session=True)
        self._check(self._catalogue.functions, name)

    def _relation(self, relation: Tree) -> None:
        schema = relation.get("schemaname")
        name = relation["relname"]
        self._relations.append((schema, name) if schema else (name,))

    def _table(self, common: Tree) -> None:
        self._tables.add(common["ctename"])

    def _column(self, column: Tree) -> None:
        fields = column["fields"]
        if len(fields) > 1:
            self._attributes(fields[-1:])

    def _attributes(self, fields: list[Tree]) -> None:
        if not self._catalogue.attributes.isdisjoint(strings(fields)):
            self._refuse()

    def _expression(self, expression: Tree) -> None:
        if expression["kind"] in _BETWEEN:
            self._compares()
        else:
            self._check(self._catalogue.operators, strings(expression["name"]))

    def _sample(self, sample: Tree) -> None:
        self._check(self._catalogue.functions, strings(sample["method"]))

    def _into(self, into: Tree) -> None:
        self._refuse(session=is_temporary(into["rel"]))


_LOOKS: dict[str, Any] = {
    "FuncCall": Query._function,
    "RangeVar": Query._relation,
    "CommonTableExpr": Query._table,
    "ColumnRef": Query._column,
    "A_Indirection": lambda query, node: query._attributes(node["indirection"]),
    "A_Expr": Query._expression,
    "operName": lambda query, names: query._check(query._catalogue.operators, strings(names)),
    "useOp": lambda query, names: query._check(query._catalogue.operators, strings(names)),
    "RangeTableSample": Query._sample,
    "intoClause": Query._into,
    "lockingClause": Query._refuse,
}


def is_temporary(relation: Tree) -> bool:
    """Whether it is made for the session alone."""
    return relation.get("relpersistence") == "t" or relation.get("schemaname", "").startswith("pg_temp")


def _constant(node: Tree) -> str:
    text: str = node.get("A_Const", {}).get("sval", {}).get("sval", "")
    return text


def _is_true(node: Tree) -> bool:
    if "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    constant = node.get("A_Const", {})
    return bool(constant.get("boolval", {}).get("boolval")) or _constant(node) in {"t", "true"}
