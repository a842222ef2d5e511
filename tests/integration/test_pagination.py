"""Pages by key over columns of all kinds, in SQLite and in PostgreSQL, which order nulls otherwise."""

import asyncio
import itertools
import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Uuid, desc, func, nulls_last, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from seawall.core import OptionError
from seawall.database import Database
from seawall.database.pagination import page_by_key


class Colour(Enum):
    RED = "r"
    GREEN = "g"


class Base(DeclarativeBase):
    """The test's table."""


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[int | None]
    price: Mapped[Decimal | None]
    colour: Mapped[Colour]
    moment: Mapped[datetime | None]
    day: Mapped[date]
    hour: Mapped[time]
    name: Mapped[str]


ORDERS: dict[str, Any] = {
    "uuid": lambda: (Thing.id,),
    "null last by itself or first": lambda: (Thing.number, Thing.id),
    "the other way": lambda: (Thing.number.desc(), Thing.id.desc()),
    "nulls first": lambda: (Thing.number.desc().nulls_first(), Thing.id),
    "nulls last": lambda: (nulls_last(Thing.number), Thing.id),
    "two that are null": lambda: (Thing.price.desc().nulls_first(), Thing.moment.asc().nulls_last(), Thing.id),
    "enum": lambda: (Thing.colour, Thing.id),
    "day and hour": lambda: (Thing.day.desc(), Thing.hour, Thing.id),
    "an expression": lambda: (func.lower(Thing.name).label("lower").desc(), Thing.id),
}


def make(count: int) -> list[Thing]:
    chance = random.Random(1)
    start = datetime.fromisoformat("2026-01-01")
    return [
        Thing(
            id=uuid4(),
            number=chance.choice([None, 1, 2, -5]),
            price=chance.choice([None, Decimal("1.50"), Decimal("20.00")]),
            colour=chance.choice(list(Colour)),
            moment=chance.choice([None, start + timedelta(minutes=chance.randint(0, 3))]),
            day=start.date() + timedelta(days=chance.randint(0, 2)),
            hour=time(chance.randint(0, 2), 30),
            name=chance.choice(["Ada", "ada", "Bob"]),
        )
        for _ in range(count)
    ]


async def turn(database: Database, order: Any, limit: int) -> tuple[list[UUID], list[UUID]]:
    """The ids page by page, and in one go."""
    query = select(Thing).order_by(*order)
    found: list[UUID] = []
    after = None
    async with database.session() as session:
        for _ in itertools.count():
            page = await page_by_key(session, query, limit=limit, after=after)
            found += [thing.id for thing in page.items]
            after = page.next
            if after is None:
                return found, [thing.id for thing in await session.scalars(query)]
    raise AssertionError


def test_every_row_is_on_one_page_in_the_order_of_the_query(empty_database):
    async def main() -> None:
        async with Database(empty_database) as database:
            async with database.connection() as connection:
                await connection.run_sync(Base.metadata.create_all)
                await connection.commit()
            async with database.session() as session:
                session.add_all(make(40))
                await session.commit()
            for name, order in ORDERS.items():
                for limit in (1, 3, 40):
                    paged, whole = await turn(database, order(), limit)
                    assert paged == whole, (name, limit)
                    assert len(paged) == 40
            async with database.session() as session:
                texts: list[Any] = [text("number"), desc("lower")]
                for ordered in texts:
                    with pytest.raises(OptionError, match="text"):
                        await page_by_key(session, select(Thing).order_by(ordered), limit=1)
                forged = "W1tudWxsLG51bGxdXQ"  # a null where none can be
                with pytest.raises(OptionError, match="no cursor"):
                    await page_by_key(session, select(Thing).order_by(Thing.id), limit=1, after=forged)

    asyncio.run(main())
