"""What a database has, as far as it tells which statements a replica may serve."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from seawall.database.catalogue_sql import FIRST_USER_OID
from seawall.database.functions import HARMFUL, HARMFUL_PREFIX, HARMLESS, READABLE_VIEWS

Rows: TypeAlias = Iterable[Sequence[str]]
Thing: TypeAlias = tuple[str, str]
"""Kind and oid, as in `catalogue_sql.EDGES`."""

COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
"""Operators that sorting, grouping, joining and comparing use without being written."""

_CURRENT_SETTING = frozenset({"2077", "3294"})
_WORD = re.compile(r"[\w$]+")
_CUSTOM_SETTING = re.compile(r"current_setting\s*\(\s*'\w+\.[\w.]+'")
_DYNAMIC = frozenset({"execute", "plpy", "plv8", "spi_exec_query", "spi_query", "spi_exec", "spi_exec_prepared", "u&"})
"""Words of a function's source behind which any SQL can hide."""


class Names:
    """Names and whether everything so named is safe, whichever schema the search path finds it in."""

    def __init__(self, entries: Iterable[tuple[str, str, bool]] = ()) -> None:
        safe: dict[str | tuple[str, str], bool] = {}
        for schema, name, fine in entries:
            for key in (name, (schema, name)):
                safe[key] = fine and safe.get(key, True)
        self._safe = safe

    def safe(self, *name: str) -> bool | None:
        """Whether `name`, or `schema, name`, is; None when there is nothing of that name."""
        return self._safe.get(name[0] if len(name) == 1 else (name[-2], name[-1]))

    def unsafe(self) -> Iterable[str]:
        """The names, without their schemas, of what is not."""
        return (name for name, fine in self._safe.items() if not fine and isinstance(name, str))

    def __len__(self) -> int:
        return len(self._safe)


class Catalogue:
    """Which functions, relations, operators and types a replica may be asked for. Immutable.

    The arguments are the rows of `catalogue_sql.QUERIES`, in their order. A function is unsafe if it is volatile, or
    its source, defaults or argument types lead to something unsafe; a relation if a standby can't read it (temporary,
    unlogged, foreign), if it tells of one server, or if its view, row security, virtual columns, children or column
    types lead to something unsafe; an operator by its function; a type by its checks and casts. A user's functions in
    C are taken at their word.
    """

    def __init__(
        self, functions: Rows = (), relations: Rows = (), operators: Rows = (), types: Rows = (), edges: Rows = ()
    ) -> None:
        functions, relations, types = list(functions), list(relations), list(types)
        operators = list(operators)
        unsafe = _Unsafe(functions, relations, types, operators, edges).found
        self.functions = Names((row[1], row[2], ("f", row[0]) not in unsafe) for row in functions)
        self.relations = Names((row[1], row[2], ("r", row[0]) not in unsafe) for row in relations)
        self.operators = Names((row[1], row[2], ("o", row[0]) not in unsafe) for row in operators)
        self.types = Names((row[1], row[2], ("t", row[0]) not in unsafe) for row in types)
        self.attributes = frozenset(row[2] for row in functions if row[6] == "true" and ("f", row[0]) in unsafe)
        """Unsafe functions that `row.name` calls, if the row has no such column."""
        self.safe_comparisons = all(self.operators.safe(name) is not False for name in COMPARISONS)
        self.usable = not any(kind == "everything" for kind, _ in unsafe)
        """False where an implicit cast between built-in types is unsafe, which any statement may use."""

    def __repr__(self) -> str:
        return f"Catalogue({len(self.functions)} functions, {len(self.relations)} relations)"


class _Unsafe:
    """Follows what needs what, back from the things that are unsafe in themselves, until nothing is added."""

    def __init__(
        self,
        functions: Sequence[Sequence[str]],
        relations: Sequence[Sequence[str]],
        types: Sequence[Sequence[str]],
        operators: Sequence[Sequence[str]],
        edges: Rows,
    ) -> None:
        self.found: set[Thing] = set()
        self._needed_by: defaultdict[Thing, list[Thing]] = defaultdict(list)
        for kind, oid, needed_kind, needed in edges:
            if kind != "policy":
                self._needed_by[needed_kind, needed].append((kind, oid))
            elif needed not in _CURRENT_SETTING or needed_kind != "f":  # a policy may ask who the user is
                self._needed_by[needed_kind, needed].append(("r", oid))
        kinds = {"f": functions, "r": relations, "t": types, "o": operators}
        self._names = {(kind, row[0]): row[2] for kind, rows in kinds.items() for row in rows}
        self._words: dict[Thing, frozenset[str]] = {}
        self._sources: dict[Thing, str] = {}
        self._mark(("locks", ""))
        own = {row[5] for row in functions if not _is_users(row) and not _safe_function(row)}
        for row in functions:
            function, language, source = ("f", row[0]), row[4], row[5]
            if not _safe_function(row) or (_is_users(row) and language == "internal" and source in own):
                self._mark(function)
            elif _is_users(row) and language not in {"c", "internal"}:
                self._read(function, source)
        for row in relations:
            if not _safe_relation(row):
                self._mark(("r", row[0]))
        self._search()

    def _mark(self, thing: Thing) -> None:
        waiting = [thing]
        while waiting:
            each = waiting.pop()
            if each not in self.found:
                self.found.add(each)
                waiting += self._needed_by.get(each, ())

    def _read(self, function: Thing, source: str) -> None:
        text = source.lower()
        words = set(_WORD.findall(text))
        if 'u&"' in text or "u&'" in text:
            words.add("u&")
        if len(_CUSTOM_SETTING.findall(text)) == text.count("current_setting"):
            words.discard("current_setting")
        if words & _DYNAMIC:
            self._mark(function)
        else:
            self._words[function], self._sources[function] = frozenset(words), text

    def _search(self) -> None:
        """Mark functions whose source has the name of something unsafe, and what that leads to."""
        searched: set[str] = set()
        while True:
            names = {self._names[each].lower() for each in self.found if each in self._names} - searched
            if not names:
                return
            searched |= names
            odd = [name for name in names if not _WORD.fullmatch(name)]
            for function, words in self._words.items():
                if function not in self.found and (
                    not names.isdisjoint(words) or any(name in self._sources[function] for name in odd)
                ):
                    self._mark(function)


def _is_users(row: Sequence[str]) -> bool:
    return int(row[0]) >= FIRST_USER_OID


def _safe_function(row: Sequence[str]) -> bool:
    _, _, name, volatility, language, *_ = row
    if language in {"internal", "c"} or not _is_users(row):
        if volatility == "v":
            return name in HARMLESS
        return name not in HARMFUL and not name.startswith(HARMFUL_PREFIX)
    return volatility != "v"


def _safe_relation(row: Sequence[str]) -> bool:
    _, schema, name, kind, persistence = row
    if kind == "v" and not _is_users(row):
        return schema != "pg_catalog" or name in READABLE_VIEWS
    return kind in {"r", "p", "v", "m"} and persistence == "p"
