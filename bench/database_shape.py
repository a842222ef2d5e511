"""The configuration every database library gets, and what its abilities hand back, so that figures compare."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

POOL = 20
"""Connections to each server, none above that."""

USERS = 1_000
"""Rows of the table that is read by key."""

VISITORS = 50
"""Rows of the table that callers count up, beside the one with the number 0."""

Fetch = Callable[[str, Mapping[str, Any]], Awaitable[Sequence[RowMapping]]]


class Base(DeclarativeBase):
    """The tables."""


class User(Base):
    """Is read by key."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    score: Mapped[int]


class Visit(Base):
    """Is counted up by a caller, row by row; without an index, so that each statement is one scan."""

    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]


SCHEMA = f"""
create table users (id int primary key, name text not null, score int not null);
insert into users select id, 'user ' || id, 0 from generate_series(1, {USERS}) as id;
create table visits (id int not null, n int not null) with (autovacuum_enabled = off);
insert into visits select id, 0 from generate_series(0, {VISITORS}) as id;
"""  # noqa: S608  numbers of ours


@dataclass(frozen=True, kw_only=True)
class Servers:
    """A primary and its replicas, as URLs without a driver."""

    primary: str
    replicas: tuple[str, ...] = ()

    @property
    def asyncpg(self) -> "Servers":
        """The same URLs as SQLAlchemy takes them for asyncpg."""
        first, *others = (
            url.replace("postgresql:", "postgresql+asyncpg:", 1) for url in (self.primary, *self.replicas)
        )
        return Servers(primary=first, replicas=tuple(others))


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A database ready for use.

    session: a new ORM session. fetch: the rows of one statement, the cheapest way the library documents. calling: a
    block that is one request of one user, where the library has such a thing. of: the library's own object.
    """

    session: Callable[[], AsyncSession]
    fetch: Fetch
    calling: Callable[[], AbstractContextManager[Any]] = nullcontext
    of: Any = None
