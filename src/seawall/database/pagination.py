"""Pages of a query: by key, which costs the same on every page, or by offset, which doesn't."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, UnaryExpression, and_, false, func, or_, select
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
    """A page of `query`, which is ordered by columns that together are unique and never null: `created_at, id`.

    limit: rows, `largest` at most. after: the former page's `next`. Raises `OptionError` for a limit or an `after`
    that can't be, and for a query without ORDER BY.
    """
    number("page_by_key", "limit", limit, at_least=1, at_most=largest, integer=True)
    columns = _order_of(query)
    if after is not None:
        query = query.where(_beyond(columns, _values(after, columns)))
    keys = [column.label(f"seawall_key_{place}") for place, (column, _) in enumerate(columns)]
    rows = (await session.execute(query.add_columns(*keys).limit(limit + 1))).all()
    more = len(rows) > limit
    rows = rows[:limit]
    width = len(columns)
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


def _order_of(query: Select[Any]) -> list[tuple[ColumnElement[Any], bool]]:
    """The columns of ORDER BY, and whether each goes down."""
    found: list[tuple[ColumnElement[Any], bool]] = []
    for clause in query._order_by_clauses:
        descending = isinstance(clause, UnaryExpression) and clause.modifier is operators.desc_op
        column = clause.element if isinstance(clause, UnaryExpression) else clause
        found.append((column, descending))
    if not found:
        raise OptionError("page_by_key", "query", "one without ORDER BY", "one ordered by unique columns, such as id")
    return found


def _beyond(columns: Sequence[tuple[ColumnElement[Any], bool]], values: Sequence[Any]) -> ColumnElement[bool]:
    """Rows after `values`: further in the first column, or equal in it and further in the next, and so on."""
    cases: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for (column, descending), value in zip(columns, values, strict=True):
        cases.append(and_(*equal, column < value if descending else column > value))
        equal.append(column == value)
    return or_(false(), *cases)


_TYPES: dict[str, Any] = {
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "decimal": (Decimal, str, Decimal),
    "uuid": (UUID, str, UUID),
}


def _cursor(values: Sequence[Any]) -> str:
    packed = []
    for value in values:
        name = next((name for name, (kind, _, _) in _TYPES.items() if type(value) is kind), None)
        packed.append([name, value if name is None else _TYPES[name][1](value)])
    return base64.urlsafe_b64encode(json.dumps(packed, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _fits(value: Any, column: ColumnElement[Any]) -> bool:
    """Whether `value` can stand in `column`; who sends a page's cursor back may have changed it."""
    if not isinstance(value, str | int | float | datetime | date | Decimal | UUID):
        return False
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False
    try:
        kind = column.type.python_type
    except NotImplementedError:
        return True
    return isinstance(value, kind) or (kind in {float, Decimal} and isinstance(value, int | float | Decimal))


def _values(cursor: str, columns: Sequence[tuple[ColumnElement[Any], bool]]) -> list[Any]:
    try:
        packed = json.loads(base64.urlsafe_b64decode(cursor[:_LONGEST_CURSOR] + "=" * (-len(cursor) % 4)))
        values = [value if name is None else _TYPES[name][2](value) for name, value in packed]
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        values = []
    if len(values) != len(columns) or not all(map(_fits, values, (column for column, _ in columns))):
        raise OptionError("page_by_key", "after", "no cursor of this query", "the former page's `next`")
    return values
