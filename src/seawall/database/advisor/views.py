"""Views replaced by what they select, so that the tables behind them are seen."""

from __future__ import annotations

from typing import Any

import postgast

from seawall.database.advisor import tree
from seawall.database.advisor.schema import Schema

DEPTH = 8
"""Views over views are followed so far."""


def expand_views(statement: Any, schema: Schema) -> None:
    """Put a subquery in the place of every view of a parse tree."""
    virtual = {cte.ctename for cte in tree.nodes(statement, "CommonTableExpr")}
    for _ in range(DEPTH):
        found = False
        for holder in list(tree.holders(statement, "range_var")):
            relation = holder.range_var
            sql = schema.view(relation.schemaname, relation.relname)
            if sql is None or (not relation.schemaname and relation.relname in virtual):
                continue
            found = True
            _replace(holder, sql, relation.alias.aliasname or relation.relname)
        if not found:
            return


def _replace(holder: Any, sql: str, alias: str) -> None:
    query = postgast.parse(sql).stmts[0].stmt
    for literal in tree.nodes(query, "A_Const"):
        literal.location = 0  # not a place in the statement
    holder.range_subselect.subquery.CopyFrom(query)
    holder.range_subselect.alias.aliasname = alias
