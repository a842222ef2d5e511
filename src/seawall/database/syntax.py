"""PostgreSQL's own parser: statements as plain dictionaries."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from seawall.core import MissingExtraError

try:
    from postgast.native import lib as _library
except ImportError:
    raise MissingExtraError("seawall.database", "postgast", "database") from None

Tree: TypeAlias = dict[str, Any]
"""A node of PostgreSQL's parse tree, `{"FuncCall": {"funcname": [...]}}`; fields with default values are absent."""


def parse(sql: str) -> list[Tree] | None:
    """The statements of a text; None where it has a syntax error or is nested too deeply to read.

    The parser's JSON is read in a quarter of the time of its protobuf, and nests deeper.
    """
    if "\0" in sql:  # where the parser would end
        return None
    try:
        result = _library.pg_query_parse(sql.encode())
    except UnicodeEncodeError:
        return None
    try:
        return None if result.error else [each.get("stmt", {}) for each in json.loads(result.parse_tree)["stmts"]]
    except RecursionError:
        return None
    finally:
        _library.pg_query_free_parse_result(result)


def strings(nodes: list[Tree]) -> tuple[str, ...]:
    """The parts of a name."""
    return tuple(node["String"]["sval"] for node in nodes if "String" in node)
