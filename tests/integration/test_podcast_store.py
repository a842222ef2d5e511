"""The podcast service's tables, their history, and what is kept in them: in SQLite and in PostgreSQL."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from podcasts.catalogue import count
from podcasts.generate import Generator, generate
from podcasts.migrations import configuration, upgrade
from podcasts.models import Campaign, Copy, Event, Podcast, Sponsor, User
from podcasts.store import Store
from podcasts.tables import attribution_events, metadata
from seawall.core import OptionError
from seawall.database import Database
from seawall.errors import AlreadyExistsError, NotFoundError

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def within(empty_database) -> Callable[..., Any]:
    """Runs a coroutine function with a database that has the tables, and a store in it."""

    def within(scene: Callable[..., Any]) -> None:
        async def main() -> None:
            async with Database(empty_database) as database:
                await asyncio.to_thread(upgrade, database)
                await scene(database, Store(database))

        asyncio.run(main())

    return within


async def campaign_in(store: Store, tenant: str = "main") -> Campaign:
    podcast = await store.add(Podcast(title="Old Maps", host="Ada", email="ada@maps.example", tenant=tenant))
    sponsor = await store.add(Sponsor(name="Ember Tea", email="ads@ember.example", product="tea", tenant=tenant))
    return await store.add(
        Campaign(
            podcast_id=podcast.id, sponsor_id=sponsor.id, budget=Decimal("1200.50"), promo_code="MAPS", tenant=tenant
        )
    )


class TestHistory:
    def test_the_migrations_make_the_tables_that_the_code_has(self, within):
        def differences(database: Database) -> list[Any]:
            with database.sync_session() as session:
                context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
                return list(compare_metadata(context, metadata))

        async def scene(database: Database, store: Store) -> None:
            assert await asyncio.to_thread(differences, database) == []

        within(scene)

    def test_they_can_be_undone_and_made_again(self, within):
        def again(database: Database) -> list[str]:
            with database.sync_session() as session:
                config = configuration()
                config.attributes["connection"] = session.connection()
                command.downgrade(config, "base")
                session.commit()
                left = inspect(session.connection()).get_table_names()
            upgrade(database)
            return left

        async def scene(database: Database, store: Store) -> None:
            assert await asyncio.to_thread(again, database) == ["alembic_version"]
            await campaign_in(store)

        within(scene)

    def test_processes_that_start_together_make_them_once(self, empty_database):
        environment = {**os.environ, "DATABASE_URL": empty_database, "PYTHONPATH": str(EXAMPLES)}
        started = [
            subprocess.Popen([sys.executable, "-m", "podcasts.migrations"], env=environment, stdout=subprocess.PIPE)
            for _ in range(3)
        ]
        outputs = [process.communicate(timeout=60)[0] for process in started]
        assert [process.returncode for process in started] == [0] * 3
        assert all(b"The schema is at revision 0001." in output for output in outputs)


class TestStore:
    def test_what_is_kept_comes_back_as_it_was(self, within):
        async def scene(database: Database, store: Store) -> None:
            campaign = await campaign_in(store)
            assert await store.get(Campaign, campaign.id, tenant="main") == campaign
            copy = Copy(text="Drink tea.", provider="openai", model="m", tokens=3)
            await store.update(Campaign, campaign.id, tenant="main", ad_read=copy)
            assert await store.get(Campaign, campaign.id, tenant="main") == campaign.model_copy(
                update={"ad_read": copy}
            )

        within(scene)

    def test_nobody_sees_or_changes_what_is_another_tenants(self, within):
        async def scene(database: Database, store: Store) -> None:
            campaign = await campaign_in(store, "one")
            for call in (
                store.get(Campaign, campaign.id, tenant="two"),
                store.update(Campaign, campaign.id, tenant="two", promo_code="MINE"),
                store.list(Campaign, tenant="two", after=campaign.id, limit=1),
                store.get(Campaign, uuid4(), tenant="one"),
            ):
                with pytest.raises(NotFoundError, match="campaign .* was not found"):
                    await call
            assert await store.list(Campaign, tenant="two", after=None, limit=10) == []
            assert await store.tenants() == ["one"]

        within(scene)

    def test_lists_come_in_the_order_of_adding_page_by_page(self, within):
        async def scene(database: Database, store: Store) -> None:
            users = [await store.add(User(name="Mia", email=f"mia{number}@a.example")) for number in range(7)]
            found: list[User] = []
            while page := await store.list(User, tenant="main", after=found[-1].id if found else None, limit=3):
                found += page
            assert found == users
            with pytest.raises(AlreadyExistsError, match="user"):
                await store.add(User(name="Another", email=users[0].email))

        within(scene)

    def test_an_event_is_kept_once(self, within):
        async def scene(database: Database, store: Store) -> None:
            campaign, other = await campaign_in(store), await campaign_in(store)
            event = Event(kind="redemption", amount=Decimal("30.25"), campaign_id=campaign.id)
            kept = await asyncio.gather(*(store.record(event) for _ in range(5)))
            assert kept == [event] * 5
            await store.record(Event(kind="download", campaign_id=campaign.id))
            with pytest.raises(AlreadyExistsError):
                await store.record(event.model_copy(update={"campaign_id": other.id}))
            found = count(campaign, await store.totals(campaign.id))
            assert (found.redemptions, found.downloads, found.visits) == (1, 1, 0)
            assert (found.revenue, found.return_on_budget) == (Decimal("30.25"), Decimal("0.0252"))
            assert (await store.events(campaign.id, after=None, limit=9)).items[1] == event
            with pytest.raises(OptionError):
                await store.events(campaign.id, after="!", limit=9)

        within(scene)


class TestGeneratedData:
    def test_it_fits_the_tables_and_is_counted_as_it_was_made(self, within):
        async def scene(database: Database, store: Store) -> None:
            written: list[int] = []
            await generate(database, 3_000, 1, written.append)
            assert written[-1] == 3_000
            made = [row for table, rows in Generator(1).rows(3_000) if table is attribution_events for row in rows]
            campaigns = Counter(row["campaign_id"] for row in made)
            busiest, events = campaigns.most_common(1)[0]
            totals = await store.totals(busiest)
            assert sum(total.events for total in totals.values()) == events
            bought = sum(row["amount"] for row in made if row["campaign_id"] == busiest and row["amount"])
            assert Decimal(totals["redemption"].amount).scaleb(-2) == bought

        within(scene)

    def test_the_same_seed_makes_the_same(self):
        one, same, other = (list(Generator(seed).rows(500)) for seed in (1, 1, 2))
        assert one == same != other

    def test_it_is_like_what_listeners_do(self):
        rows = [row for table, rows in Generator(1).rows(20_000) if table is attribution_events for row in rows]
        kinds = Counter(row["kind"] for row in rows)
        assert kinds["download"] > 8 * kinds["visit"] > 30 * kinds["redemption"] > 0
        assert all((row["amount"] is not None) is (row["kind"] == "redemption") for row in rows)
        shares = [events for _, events in Counter(row["campaign_id"] for row in rows).most_common()]
        assert sum(shares[:40]) > 0.5 * len(rows)
        hours = Counter(row["happened_at"].hour for row in rows)
        assert hours[7] > 3 * hours[3]
        moments = [row["happened_at"] for row in rows]
        assert all(earlier <= later for earlier, later in itertools.pairwise(moments))
