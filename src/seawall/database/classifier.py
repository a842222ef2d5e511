"""Tells reads, which a replica may serve, from everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import postgast

from seawall.database.catalogue import Catalogue
from seawall.database.catalogue_sql import QUERIES
from seawall.database.queries import Query, is_temporary
from seawall.database.statements import StatementClass
from seawall.database.syntax import Tree, parse

READ, TRANSACTION, WRITE, SESSION = (
    StatementClass.READ,
    StatementClass.TRANSACTION,
    StatementClass.WRITE,
    StatementClass.SESSION,
)

REMEMBERED = 4_096
"""Texts, and shapes of texts, whose class is kept."""

Fetch: TypeAlias = Callable[[str], Awaitable[Iterable[Sequence[str]]]]
_LONG = 10_000
"""Characters from which a text is not kept."""

_SEVERITY = (READ, TRANSACTION, WRITE, SESSION)
_HOLD = 0x20
_PREPARED = frozenset({"TRANS_STMT_PREPARE", "TRANS_STMT_COMMIT_PREPARED", "TRANS_STMT_ROLLBACK_PREPARED"})
_TEMPORARY = frozenset({"CreateStmt", "CreateTableAsStmt", "CreateSeqStmt", "ViewStmt"})
_KINDS: Mapping[str, StatementClass] = {
    "ListenStmt": SESSION,
    "UnlistenStmt": SESSION,
    "PrepareStmt": SESSION,
    "DeallocateStmt": SESSION,
    "DiscardStmt": SESSION,
    "LoadStmt": SESSION,
}


class Classifier:
    """Classes of statements, by PostgreSQL's parser and a catalogue.

        classifier = Classifier()
        await classifier.load(connection.fetch)     # asyncpg's, or anything that takes SQL and returns rows
        classifier.classify("SELECT nextval('s')")  # WRITE

    A read is what provably only reads; everything else is at least a WRITE, also what can't be parsed and what names a
    function, relation, operator or type that the catalogue doesn't know. Without a catalogue that is nearly everything.
    A function's own word is all there is for those in C, and what is made or changed after the catalogue was loaded
    is unknown to it.

    Classes are kept by text, and by text without values for texts that are new. May be used by any number of threads.
    """

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._state = _State(catalogue or Catalogue())
        self._rows: list[list[Sequence[str]]] = []

    @property
    def catalogue(self) -> Catalogue:
        """What statements are judged by; assigning another forgets all classes."""
        return self._state.catalogue

    @catalogue.setter
    def catalogue(self, catalogue: Catalogue) -> None:
        self._state = _State(catalogue)

    @property
    def unknown(self) -> int:
        """Different statements, since the catalogue was loaded, with a name it doesn't have: reason to load it again.

        Names of temporary tables and mistaken names count too, so load it again after a pause.
        """
        return self._state.unknown

    async def load(self, fetch: Fetch) -> None:
        """Read the catalogue anew through `fetch`, which takes SQL and returns rows; a standby's is as good.

        The present one stays in use until then, and with all that was judged by it if nothing has changed.
        """
        rows = [list(await fetch(query)) for query in QUERIES]
        if rows != self._rows:
            # It takes tens of milliseconds, in which the event loop would stand still.
            self.catalogue = await asyncio.to_thread(Catalogue, *rows)
            self._rows = rows

    def classify(self, sql: str) -> StatementClass:
        """The class of a text; of several statements, the most restrictive."""
        return self._state.by_text(sql)


class _State:
    """A catalogue and what was judged by it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.unknown = 0
        self.by_text = lru_cache(REMEMBERED)(self._judge_text)
        self._by_shape: dict[str, StatementClass] = {}

    def _judge_text(self, sql: str) -> StatementClass:
        try:
            shape = postgast.normalize(sql)
        except (postgast.PgQueryError, UnicodeEncodeError):
            return WRITE
        if "\0" in sql:
            return WRITE
        kind = self._by_shape.get(shape)
        if kind is None:
            kind, by_value = self._judge(sql)
            if not by_value and len(shape) < _LONG:
                if len(self._by_shape) >= REMEMBERED:
                    self._by_shape = {}
                self._by_shape[shape] = kind
        return kind

    def _judge(self, sql: str) -> tuple[StatementClass, bool]:
        statements = parse(sql)
        if statements is None:
            return WRITE, False
        kind, unknown, by_value = READ, False, False
        for statement in statements:
            query = Query(self.catalogue)
            kind = max(kind, self._statement(statement, query), key=_SEVERITY.index)
            unknown, by_value = unknown or query.unknown, by_value or query.by_value
        self.unknown += unknown
        return kind, by_value

    def _statement(self, statement: Tree, query: Query) -> StatementClass:
        (name, node) = next(iter(statement.items()))
        if name == "ExplainStmt":
            return self._statement(node["query"], query)
        return _JUDGES[name](node, query) if name in _JUDGES else _other(name, node)


def _select(node: Tree, query: Query) -> StatementClass:
    return query.read({"SelectStmt": node})


def _copy(node: Tree, query: Query) -> StatementClass:
    """COPY … TO STDOUT reads; from or to a file, a program or the client it doesn't."""
    if node.get("is_from") or node.get("filename") or node.get("is_program"):
        return WRITE
    source: Any = node.get("query") or {"RangeVar": node["relation"]}
    return query.read(source)


def _setting(node: Tree, _: Query) -> StatementClass:
    if node.get("kind") == "VAR_SET_MULTI" and node.get("name") == "TRANSACTION":
        return TRANSACTION
    return WRITE if node.get("is_local") else SESSION


def _transaction(node: Tree, _: Query) -> StatementClass:
    return WRITE if node["kind"] in _PREPARED else TRANSACTION


def _cursor(node: Tree, query: Query) -> StatementClass:
    return SESSION if node.get("options", 0) & _HOLD else max(WRITE, query.read(node), key=_SEVERITY.index)


def _other(name: str, node: Tree) -> StatementClass:
    made = node.get("relation") or node.get("view") or node.get("sequence") or node.get("into", {}).get("rel")
    if name in _TEMPORARY and made and is_temporary(made):
        return SESSION
    return _KINDS.get(name, WRITE)


_JUDGES: Mapping[str, Callable[[Tree, Query], StatementClass]] = {
    "SelectStmt": _select,
    "CopyStmt": _copy,
    "TransactionStmt": _transaction,
    "VariableSetStmt": _setting,
    "DeclareCursorStmt": _cursor,
}
