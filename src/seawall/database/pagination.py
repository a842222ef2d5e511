"""Pages of a query: by key, which costs the same on every page, or by offset, which doesn't."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import operators

from seawall.core import OptionError
from seawall.core.options import number

T = TypeVar("T")
LARGEST = 1_000
"""Rows of a page at most, unless the call says otherwise."""
DEEPEST = 10_000
"""Rows an offset may skip: the server reads and throws away every one of them."""
_LONGEST_CURSOR = 4_096


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """A page by key. next: give it as `after` for the following page; None on the last."""

    items: Sequence[T]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class OffsetPage(Generic[T]):
    """A page by offset. total: rows of all pages, None if it wasn't asked for."""

    items: Sequence[T]
    offset: int
    limit: int
    total: int | None


async def page_by_key(
    session: AsyncSession,
    query: Select[Any],
    *,
    limit: int,
    after: str | None = None,
    largest: int = LARGEST,
) -> Page[Any]:
    """A page of `query`, which is ordered by columns that together are unique: `created_at.desc(), id`.

    limit: rows, `largest` at most. after: the former page's `next`. Columns may be null; the database's own order of
    nulls holds, or the one that `nulls_first()` and `nulls_last()` ask for. Raises `OptionError` for a limit or an
    `after` that can't be, and for a query without ORDER BY, or with one that names columns as text.
    """
    number("page_by_key", "limit", limit, at_least=1, at_most=largest, integer=True)
    keys = _keys_of(query, session.get_bind().dialect.name)
    if after is not None:
        query = query.where(_beyond(keys, _values(after, keys)))
    labels = [key.column.label(f"seawall_key_{place}") for place, key in enumerate(keys)]
    rows = (await session.execute(query.add_columns(*labels).limit(limit + 1))).all()
    more = len(rows) > limit
    rows = rows[:limit]
    width = len(keys)
    items = [row[0] if len(row) == width + 1 else tuple(row[:-width]) for row in rows]
    return Page(items=items, next=_cursor(rows[-1][-width:]) if more else None)


async def page_by_offset(
    session: AsyncSession,
    query: Select[Any],
    *,
    limit: int,
    offset: int = 0,
    count: bool = False,
    largest: int = LARGEST,
    deepest: int = DEEPEST,
) -> OffsetPage[Any]:
    """A page of `query` that skips `offset` rows, `deepest` at most. count: also how many there are in all."""
    number("page_by_offset", "limit", limit, at_least=1, at_most=largest, integer=True)
    number("page_by_offset", "offset", offset, at_least=0, at_most=deepest, integer=True)
    result = await session.execute(query.limit(limit).offset(offset))
    rows = result.all()
    items = [row[0] if len(row) == 1 else tuple(row) for row in rows]
    total = None
    if count:
        total = await session.scalar(select(func.count()).select_from(query.order_by(None).subquery()))
    return OffsetPage(items=items, offset=offset, limit=limit, total=total)


@dataclass(frozen=True)
class _Key:
    """A column of ORDER BY. nulls_first: where its nulls come; None if it has none."""

    column: ColumnElement[Any]
    descending: bool
    nulls_first: bool | None


def _keys_of(query: Select[Any], dialect: str) -> list[_Key]:
    """What the query is ordered by."""
    found = [_key_of(clause, dialect) for clause in query._order_by_clauses]
    if not found:
        raise OptionError("page_by_key", "query", "one without ORDER BY", "one ordered by unique columns, such as id")
    return found


def _key_of(clause: Any, dialect: str) -> _Key:
    descending = False
    nulls_first: bool | None = None
    while True:
        modifier = getattr(clause, "modifier", None)
        if modifier in _NULLS:
            nulls_first = modifier is operators.nulls_first_op
        elif modifier in _DIRECTIONS:
            descending = modifier is operators.desc_op
        elif getattr(clause, "__visit_name__", "") not in {"label", "label_reference"}:
            break
        clause = clause.element
    if not isinstance(clause, ColumnElement) or clause.__visit_name__ == "textual_label_reference":
        words = str(getattr(clause, "element", clause))
        raise OptionError("page_by_key", "query", f"one ordered by the text {words!r}", "columns in its place")
    if nulls_first is None:
        # To PostgreSQL a null is larger than everything, to SQLite it is smaller.
        nulls_first = descending if dialect == "postgresql" else not descending
    return _Key(clause, descending, nulls_first if getattr(clause, "nullable", True) else None)


def _beyond(keys: Sequence[_Key], values: Sequence[Any]) -> ColumnElement[bool]:
    """Rows after `values`: further in the first column, or equal in it and further in the next, and so on."""
    cases: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for key, value in zip(keys, values, strict=True):
        cases.append(and_(*equal, _further(key, value)))
        equal.append(key.column.is_(None) if value is None else key.column == value)
    return or_(false(), *cases)


def _further(key: _Key, value: Any) -> ColumnElement[bool]:
    column = key.column
    if value is None:
        return column.is_not(None) if key.nulls_first else false()
    larger = column < value if key.descending else column > value
    return or_(larger, column.is_(None)) if key.nulls_first is False else larger


_NULLS = (operators.nulls_first_op, operators.nulls_last_op)
_DIRECTIONS = (operators.asc_op, operators.desc_op)
_TYPES: dict[str, Any] = {
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "decimal": (Decimal, str, Decimal),
    "uuid": (UUID, str, UUID),
}


def _cursor(values: Sequence[Any]) -> str:
    packed: list[list[Any]] = []
    for value in values:
        if isinstance(value, Enum):
            packed.append(["enum", value.name])
            continue
        name = next((name for name, (kind, _, _) in _TYPES.items() if isinstance(value, kind)), None)
        packed.append([name, value if name is None else _TYPES[name][1](value)])
    return base64.urlsafe_b64encode(json.dumps(packed, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _unpacked(name: str | None, value: Any, kind: Any) -> Any:
    if name == "enum":
        return kind[value]
    return value if name is None else _TYPES[name][2](value)


def _kind(key: _Key) -> Any:
    """The column's class in Python; None where that isn't known."""
    try:
        return key.column.type.python_type
    except NotImplementedError:
        return None


def _fits(value: Any, key: _Key) -> bool:
    """Whether `value` can stand in the column; who sends a page's cursor back may have changed it."""
    if value is None:
        return key.nulls_first is not None
    if not isinstance(value, str | int | float | datetime | date | time | Decimal | UUID | Enum):
        return False
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False
    kind = _kind(key)
    return kind is None or isinstance(value, kind) or (kind in {float, Decimal} and isinstance(value, _NUMBERS))


_NUMBERS = (int, float, Decimal)


def _values(cursor: str, keys: Sequence[_Key]) -> list[Any]:
    try:
        packed = json.loads(base64.urlsafe_b64decode(cursor[:_LONGEST_CURSOR] + "=" * (-len(cursor) % 4)))
        values = [_unpacked(name, value, _kind(key)) for (name, value), key in zip(packed, keys, strict=True)]
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        values = []
    if len(values) != len(keys) or not all(map(_fits, values, keys)):
        raise OptionError("page_by_key", "after", "no cursor of this query", "the former page's `next`")
    return values
