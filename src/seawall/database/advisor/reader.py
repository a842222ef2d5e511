"""Reads a statement into the uses it makes of tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seawall.database.advisor import tree
from seawall.database.advisor.predicates import Kind, Order, Scope, Term, Use, owner_of, term_of, terms_of
from seawall.database.advisor.schema import Schema


class Reader:
    """Reads a statement against a schema. Afterwards `uses` has every appearance of a known table."""

    def __init__(self, schema: Schema, statement: Any) -> None:
        self.uses: list[Use] = []
        self.conditions: list[tuple[Any, Mapping[str, Use]]] = []
        """Every conjunct with the tables it can name."""
        self._schema = schema
        self._virtual: set[str] = set()
        self._derived: dict[str, Use] = {}
        self._read(tree.inner(statement), {})

    def _read(self, statement: Any, outer: Mapping[str, Use]) -> None:
        match statement.DESCRIPTOR.name:
            case "SelectStmt":
                self._select(statement, outer)
            case "UpdateStmt" | "DeleteStmt":
                self._change(statement, outer)
            case "InsertStmt":
                self._read_nested(statement.select_stmt, outer)

    def _read_nested(self, node: Any, outer: Mapping[str, Use]) -> None:
        if tree.kind(node):
            self._read(tree.inner(node), outer)

    def _with(self, statement: Any, outer: Mapping[str, Use]) -> None:
        if not statement.HasField("with_clause"):
            return
        for cte in statement.with_clause.ctes:
            self._virtual.add(cte.common_table_expr.ctename)
        for cte in statement.with_clause.ctes:
            through = self._through(cte.common_table_expr.ctequery, Scope({}, outer))
            if through is not None:
                self._derived[cte.common_table_expr.ctename] = through

    def _select(self, select: Any, outer: Mapping[str, Use]) -> None:
        self._with(select, outer)
        if select.HasField("larg"):
            self._select(select.larg, outer)
            self._select(select.rarg, outer)
            return
        scope: dict[str, Use] = {}
        inside = Scope(scope, outer)
        for item in select.from_clause:
            self._from(item, scope, inside)
        self._conjuncts(select.where_clause, inside)
        self._order(select, inside)
        parts = [*select.target_list, *select.group_clause, *select.sort_clause, select.having_clause]
        self._columns(parts, inside)
        if not select.group_clause:
            self._extremes(select, inside)
        self._nested([*select.target_list, select.having_clause], inside)

    def _change(self, statement: Any, outer: Mapping[str, Use]) -> None:
        self._with(statement, outer)
        scope: dict[str, Use] = {}
        inside = Scope(scope, outer)
        self._table(statement.relation, scope)
        for use in scope.values():
            use.columns = None
        others = statement.from_clause if statement.DESCRIPTOR.name == "UpdateStmt" else statement.using_clause
        for item in others:
            self._from(item, scope, inside)
        self._conjuncts(statement.where_clause, inside)

    def _table(self, relation: Any, scope: dict[str, Use]) -> None:
        name = relation.alias.aliasname or relation.relname
        table = None
        if not relation.schemaname and relation.relname in self._derived:
            scope[name] = self._derived[relation.relname]
            return
        if relation.schemaname or relation.relname not in self._virtual:
            table = self._schema.find(relation.schemaname, relation.relname)
        if table is not None:
            scope[name] = Use(name, table, relation)
            self.uses.append(scope[name])

    def _from(self, item: Any, scope: dict[str, Use], inside: Scope) -> None:
        match tree.kind(item):
            case "range_var":
                self._table(item.range_var, scope)
            case "range_subselect":
                through = self._through(item.range_subselect.subquery, inside)
                if through is not None:
                    scope[item.range_subselect.alias.aliasname] = through
            case "join_expr":
                join = item.join_expr
                self._from(join.larg, scope, inside)
                self._from(join.rarg, scope, inside)
                self._conjuncts(join.quals, inside)
                for column in tree.names(join.using_clause):
                    self._using(column, scope)

    def _through(self, query: Any, inside: Scope) -> Use | None:
        """Read a subquery. Returns its table where it only filters one and renames nothing, as many views do."""
        known = len(self.uses)
        self._read_nested(query, inside)
        new = self.uses[known:]
        if tree.kind(query) != "select_stmt" or len(new) != 1 or new[0].limited or new[0].group:
            return None
        targets = [target.res_target for target in query.select_stmt.target_list]
        plain = all(
            tree.kind(target.val) == "column_ref" and target.name in {"", tree.names(target.val.column_ref.fields)[-1]}
            for target in targets
        )
        return new[0] if plain and len(query.select_stmt.from_clause) == 1 else None

    def _using(self, column: str, scope: Mapping[str, Use]) -> None:
        for use in scope.values():
            if column in use.table.columns:
                _add(use, Term(key=tree.text(_column(column)), columns=(column,), kind=Kind.JOIN))
                _read_column(use, column)

    def _conjuncts(self, node: Any, inside: Scope) -> None:
        if not tree.kind(node):
            return
        if tree.kind(node) == "bool_expr" and node.bool_expr.boolop == tree.AND:
            for part in node.bool_expr.args:
                self._conjuncts(part, inside)
            return
        self.conditions.append((node, inside))
        self._columns([node], inside)
        self._nested([node], inside)
        if tree.kind(node) == "bool_expr" and node.bool_expr.boolop == tree.OR:
            for arm in node.bool_expr.args:
                self._arm(arm, inside)
        for use, term in terms_of(node, inside):
            _add(use, term)

    def _arm(self, arm: Any, inside: Scope) -> None:
        ands = tree.kind(arm) == "bool_expr" and arm.bool_expr.boolop == tree.AND
        found: dict[Use, list[Term]] = {}
        for part in arm.bool_expr.args if ands else [arm]:
            for use, term in terms_of(part, inside):
                found.setdefault(use, []).append(term)
        for use, terms in found.items():
            use.branches.append(terms)

    def _nested(self, parts: Iterable[Any], inside: Scope) -> None:
        for part in parts:
            for link in tree.nodes(part, "SubLink"):
                self._read_nested(link.subselect, inside)
                self._semi_join(link, inside)

    def _semi_join(self, link: Any, inside: Scope) -> None:
        """`x IN (SELECT y …)` joins x and y."""
        if link.sub_link_type != tree.ANY or not tree.kind(link.testexpr):
            return
        select = link.subselect.select_stmt
        if tree.kind(link.subselect) == "select_stmt" and len(select.target_list) == 1:
            scope = {use.alias: use for use in self.uses if _is_from(use, select)}
            _add_join(select.target_list[0].res_target.val, scope)
        _add_join(link.testexpr, inside)

    def _order(self, select: Any, inside: Scope) -> None:
        limited = tree.kind(select.limit_count) != ""
        aliases = {target.res_target.name: target.res_target.val for target in select.target_list}
        sort = [(_behind(item.sort_by.node, aliases, select), item.sort_by) for item in select.sort_clause]
        owner = owner_of([node for node, _ in sort], inside)
        for use in inside.own.values():
            use.limited = use.limited or limited
        if owner is not None:
            owner.order = tuple(_order(node, by) for node, by in sort)
        groups = [_behind(node, aliases, select) for node in select.group_clause]
        if not groups and select.distinct_clause:
            groups = [target.res_target.val for target in select.target_list]
        group_owner = owner_of(groups, inside)
        if group_owner is not None and all(tree.kind(node) != "grouping_set" for node in groups):
            group_owner.group = tuple(tree.text(tree.bare(node)) for node in groups)

    def _extremes(self, select: Any, inside: Scope) -> None:
        """`max(x)` reads the last entry of an index."""
        for target in select.target_list:
            call = target.res_target.val
            if tree.kind(call) == "func_call" and tree.names(call.func_call.funcname)[-1] in {"min", "max"}:
                use = owner_of(call.func_call.args, inside)
                if use is not None:
                    _add(use, term_of(call.func_call.args[0], Kind.NOT_NULL, call))

    def _columns(self, parts: Iterable[Any], inside: Scope) -> None:
        for part in parts:
            for column in tree.nodes(part, "ColumnRef"):
                *prefix, name = tree.names(column.fields)
                if name == "*":
                    for use in [inside.get(prefix[-1])] if prefix else inside.own.values():
                        if use is not None:
                            use.columns = None
                elif (use := inside.owner(column)) is not None:
                    _read_column(use, name)


def _add(use: Use, term: Term) -> None:
    if term not in use.branches[0]:
        use.branches[0].append(term)


def _add_join(node: Any, scope: Mapping[str, Use]) -> None:
    inside = scope if isinstance(scope, Scope) else Scope(dict(scope), {})
    use = owner_of([node], inside)
    if use is not None:
        _add(use, term_of(node, Kind.JOIN, node))


def _is_from(use: Use, select: Any) -> bool:
    tables = [(item.alias.aliasname or item.relname) for item in tree.nodes(select, "RangeVar")]
    return use.alias in tables


def _read_column(use: Use, name: str) -> None:
    if use.columns is not None:
        use.columns.add(name)


def _column(name: str) -> Any:
    node = tree.new()
    node.column_ref.fields.add().string.sval = name
    return node


def _behind(node: Any, aliases: Mapping[str, Any], select: Any) -> Any:
    """What `ORDER BY alias` and `ORDER BY 2` mean."""
    if tree.kind(node) == "a_const" and node.a_const.HasField("ival"):
        position = node.a_const.ival.ival
        if 1 <= position <= len(select.target_list):
            return select.target_list[position - 1].res_target.val
    if tree.kind(node) == "column_ref":
        name = tree.names(node.column_ref.fields)
        if len(name) == 1 and name[0] in aliases:
            return aliases[name[0]]
    return node


def _order(node: Any, by: Any) -> Order:
    descending = by.sortby_dir == 3  # noqa: PLR2004 - SORTBY_DESC
    nulls_first = by.sortby_nulls == 2 or (by.sortby_nulls != 3 and descending)  # noqa: PLR2004 - SORTBY_NULLS_FIRST, _LAST
    return Order(tree.text(tree.bare(node)), descending, nulls_first)
