"""Where everything is kept: a database, behind the few questions that the service asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import BigInteger, Executable, RowMapping, Select, Table, cast, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from podcasts.models import Campaign, Event, Events, Podcast, Sponsor, User
from podcasts.tables import attribution_events, campaigns, podcasts, sponsors, tenants, users
from seawall.database import CommitUnknownError, Database
from seawall.database.pagination import page_by_key
from seawall.errors import AlreadyExistsError, NotFoundError

T = TypeVar("T", User, Podcast, Sponsor, Campaign)

_TABLES: Mapping[type[BaseModel], Table] = {
    User: users,
    Podcast: podcasts,
    Sponsor: sponsors,
    Campaign: campaigns,
    Event: attribution_events,
}


class Total(NamedTuple):
    """The events of one kind. `amount` is in cents."""

    events: int
    amount: int


class Store:
    """Keeps frozen models by type and id, each of one tenant, whom nobody else's are shown."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[str] = set()
        self._add = database.transaction()(self._add_in)

    async def add(self, item: T) -> T:
        """Keep `item`, and its tenant with its first. Raises `AlreadyExistsError` where it is there."""
        try:
            await self._add(item)
        except IntegrityError as error:
            raise AlreadyExistsError(_word(type(item))) from error
        self._known.add(item.tenant)
        return item

    async def _add_in(self, session: AsyncSession, item: User | Podcast | Sponsor | Campaign) -> None:
        if item.tenant not in self._known:
            tenant = {"slug": item.tenant, "created_at": datetime.now(UTC)}
            await session.execute(self._insert(tenants).values(**tenant).on_conflict_do_nothing())
        await session.execute(insert(_TABLES[type(item)]).values(**_row(item)))

    async def get(self, kind: type[T], id: UUID, *, tenant: str) -> T:  # noqa: A002
        """The tenant's item of that type and id. Raises `NotFoundError`."""
        table = _TABLES[kind]
        found = await self._all(kind, _select(kind).where(table.c.id == id, table.c.tenant == tenant))
        if not found:
            raise NotFoundError(_word(kind), id)
        return found[0]

    async def update(self, kind: type[T], id: UUID, *, tenant: str, **changes: object) -> None:  # noqa: A002
        """Change some fields. Raises `NotFoundError`."""
        table = _TABLES[kind]
        changing = update(table).where(table.c.id == id, table.c.tenant == tenant).returning(table.c.id)
        if not await self._surely(changing.values({name: _plain(value) for name, value in changes.items()})):
            raise NotFoundError(_word(kind), id)

    async def list(self, kind: type[T], *, tenant: str, after: UUID | None, limit: int) -> Sequence[T]:
        """Up to `limit` of the tenant's items in the order they were added, behind the one with id `after`."""
        table = _TABLES[kind]
        query = _select(kind).where(table.c.tenant == tenant).order_by(table.c.number).limit(limit)
        if after is not None:
            last = select(table.c.number).where(table.c.id == after, table.c.tenant == tenant)
            query = query.where(table.c.number > last.scalar_subquery())
        found = await self._all(kind, query)
        if after is not None and not found:
            await self.get(kind, after, tenant=tenant)
        return found

    async def tenants(self) -> Sequence[str]:
        """Those who have something."""
        return [row["slug"] for row in await self._database.fetch(select(tenants.c.slug).order_by(tenants.c.slug))]

    async def record(self, event: Event) -> Event:
        """Keep an event; one with its id that is there stays. Raises `AlreadyExistsError` if that is another's."""
        new = self._insert(attribution_events).values(**_row(event)).on_conflict_do_nothing(index_elements=["id"])
        if await self._surely(new.returning(attribution_events.c.id)):
            return event
        query = _select(Event).where(attribution_events.c.id == event.id)
        rows = await self._database.fetch(query, use_read_replica=False)
        kept = Event.model_validate(dict(rows[0]))
        if kept.campaign_id != event.campaign_id:
            raise AlreadyExistsError("event", event.id)
        return kept

    async def events(self, campaign_id: UUID, *, after: str | None, limit: int) -> Events:
        """A page of a campaign's events, the newest first. Raises `OptionError` for an `after` that is none."""
        table = attribution_events
        query = _select(Event).where(table.c.campaign_id == campaign_id).order_by(table.c.number.desc())
        async with self._database.session() as session:
            page = await page_by_key(session, query, after=after, limit=limit)
        events = (Event.model_validate(dict(zip(Event.model_fields, item, strict=True))) for item in page.items)
        return Events(items=tuple(events), next=page.next)

    async def totals(self, campaign_id: UUID) -> Mapping[str, Total]:
        """A campaign's events by kind."""
        table = attribution_events
        cents = func.coalesce(func.sum(cast(table.c.amount, BigInteger)), 0)
        query = select(table.c.kind, func.count().label("events"), cents.label("amount"))
        query = query.where(table.c.campaign_id == campaign_id).group_by(table.c.kind)
        return {row["kind"]: Total(row["events"], int(row["amount"])) for row in await self._database.fetch(query)}

    async def _surely(self, statement: Executable) -> Sequence[RowMapping]:
        """The rows of a statement that does the same when it is run twice: also if nobody knows of its commit."""
        try:
            return await self._database.fetch(statement)
        except CommitUnknownError:
            return await self._database.fetch(statement)

    async def _all(self, kind: type[T], query: Select[Any]) -> Sequence[T]:
        return [kind.model_validate(dict(row)) for row in await self._database.fetch(query)]

    def _insert(self, table: Table) -> Any:
        """An INSERT that can do nothing on a conflict, in the dialect of the database."""
        return (sqlite if self._database.cluster is None else postgresql).insert(table)


def _select(kind: type[BaseModel]) -> Select[Any]:
    return select(*(_TABLES[kind].c[name] for name in kind.model_fields))


def _row(item: BaseModel) -> dict[str, Any]:
    return {name: _plain(value) for name, value in item}


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _word(kind: type[BaseModel]) -> str:
    return kind.__name__.lower()
