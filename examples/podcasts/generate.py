"""`python -m podcasts.generate`: fill the database with what a year of sponsorships leaves behind."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Table, insert

from podcasts.migrations import upgrade
from podcasts.tables import attribution_events, campaigns, podcasts, sponsors, tenants, users
from seawall import Seawall
from seawall.database import Database

EVENTS = 100_000
BATCH = 2_000
"""Rows of one statement; a transaction each, so that readers and replicas keep up."""
CAMPAIGNS, PODCASTS, SPONSORS, USERS = 200, 60, 40, 30
TENANTS = ("main", "north-coast", "harbour", "lighthouse", "tidewater")
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
"""When the data ends, so that the same seed gives the same data."""
YEAR = 365

_TOPICS = (
    "Deep Sea",
    "Night Shift",
    "Slow Food",
    "Small Engines",
    "Old Maps",
    "Street Chess",
    "Quiet Code",
    "Far North",
)
_FORMS = ("Tales", "Hour", "Weekly", "Notebook", "Radio", "Stories", "Dispatch")
_HOSTS = ("Mia", "Tom", "Ada", "Luis", "Noor", "Kenji", "Ines", "Omar", "Freya", "Ravi")
_BRANDS = ("Acme", "Borealis", "Cobalt", "Driftwood", "Ember", "Fathom", "Gannet", "Halyard", "Isobar", "Juniper")
_PRODUCTS = ("coffee beans", "running shoes", "meal kits", "mattresses", "hosting", "tea", "audio books", "razors")
_HOURS = (2, 1, 1, 1, 1, 3, 7, 10, 9, 6, 5, 5, 6, 5, 4, 5, 6, 8, 8, 6, 5, 5, 4, 3)
"""How much is listened to in each hour of a day: on the way to work, and home."""
_WEEKDAYS = (10, 10, 10, 10, 9, 5, 4)


@dataclass(frozen=True)
class Campaign:
    """What the events of a campaign follow from. weight: how many there are beside other campaigns'."""

    id: UUID
    begins: datetime
    days: int
    weight: float
    price: float


class Generator:
    """Rows for every table, the same for the same `seed`.

    Few campaigns bring most events, downloads are most of them, a few in a hundred visit, and fewer buy; all this
    ebbs after an episode's first days, and has its hours of the day and days of the week.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.campaigns: list[Campaign] = []

    def rows(self, events: int) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
        """Tables and rows for them, in an order that their foreign keys allow."""
        chance = self._chance
        yield tenants, [{"slug": slug, "created_at": NOW - timedelta(days=YEAR)} for slug in TENANTS]
        yield users, [self._user(number) for number in range(USERS)]
        shows = [self._podcast() for _ in range(PODCASTS)]
        yield podcasts, shows
        brands = [self._sponsor(number) for number in range(SPONSORS)]
        yield sponsors, brands
        planned = [self._campaign(chance.choice(shows), brands, rank) for rank in range(CAMPAIGNS)]
        yield campaigns, planned
        made = self._events(events)
        while batch := list(itertools.islice(made, BATCH)):
            yield attribution_events, batch

    def _id(self) -> UUID:
        return UUID(int=self._chance.getrandbits(128), version=4)

    def _tenant(self) -> str:
        return self._chance.choices(TENANTS, weights=(5, 3, 2, 1, 1))[0]

    def _user(self, number: int) -> dict[str, Any]:
        tenant, name = TENANTS[number % len(TENANTS)], self._chance.choice(_HOSTS)
        role = ("owner", "editor", "viewer")[min(number // len(TENANTS), 2)]
        email = f"{name.lower()}.{number}@{tenant}.example"
        return {"id": self._id(), "tenant": tenant, "name": name, "email": email, "role": role}

    def _podcast(self) -> dict[str, Any]:
        chance = self._chance
        title, host = f"{chance.choice(_TOPICS)} {chance.choice(_FORMS)}", chance.choice(_HOSTS)
        listeners = int(chance.lognormvariate(9.0, 1.2))
        email = f"{host.lower()}@{title.lower().replace(' ', '-')}.example"
        return {
            "id": self._id(), "tenant": self._tenant(), "title": title, "host": host, "email": email,
            "listeners": listeners,
        }  # fmt: skip

    def _sponsor(self, number: int) -> dict[str, Any]:
        chance = self._chance
        product = chance.choice(_PRODUCTS)
        name = f"{chance.choice(_BRANDS)} {product.split()[0].title()}"
        tenant = TENANTS[number % len(TENANTS)]
        email = f"ads@{name.lower().replace(' ', '-')}.example"
        return {"id": self._id(), "tenant": tenant, "name": name, "email": email, "product": product}

    def _campaign(self, podcast: dict[str, Any], brands: list[dict[str, Any]], rank: int) -> dict[str, Any]:
        chance = self._chance
        tenant = podcast["tenant"]
        sponsor = chance.choice([brand for brand in brands if brand["tenant"] == tenant])
        begins = NOW - timedelta(days=chance.uniform(1, YEAR))
        kept = Campaign(self._id(), begins, chance.randint(14, 120), 1 / (rank + 3), chance.uniform(15, 120))
        self.campaigns.append(kept)
        return {
            "id": kept.id, "tenant": tenant, "podcast_id": podcast["id"], "sponsor_id": sponsor["id"],
            "budget": Decimal(chance.randrange(500, 20_000, 50)),
            "promo_code": f"{podcast['title'].split()[0].upper()}{chance.choice((10, 15, 20, 25))}",
            "ad_read": None, "invoice": None,
        }  # fmt: skip

    def _events(self, count: int) -> Iterator[dict[str, Any]]:
        chance = self._chance
        weights = list(itertools.accumulate(campaign.weight for campaign in self.campaigns))
        chosen = chance.choices(self.campaigns, cum_weights=weights, k=count)
        happened = sorted(((self._moment(campaign), campaign) for campaign in chosen), key=lambda pair: pair[0])
        kinds = chance.choices(("download", "visit", "redemption"), weights=(88, 10, 2), k=count)
        for kind, (moment, campaign) in zip(kinds, happened, strict=True):
            amount = None
            if kind == "redemption":
                amount = Decimal(round(campaign.price * chance.lognormvariate(0.0, 0.35), 2)).quantize(Decimal("0.01"))
            yield {
                "id": self._id(), "campaign_id": campaign.id, "kind": kind, "amount": amount, "happened_at": moment,
            }  # fmt: skip

    def _moment(self, campaign: Campaign) -> datetime:
        chance = self._chance
        while True:
            day = min(chance.expovariate(3 / campaign.days), campaign.days)
            moment = campaign.begins.replace(minute=0, second=0, microsecond=0) + timedelta(days=math.floor(day))
            moment = moment.replace(hour=chance.choices(range(24), weights=_HOURS)[0])
            moment += timedelta(seconds=chance.uniform(0, 3600))
            if moment > NOW:
                moment -= timedelta(days=day + chance.random())
            if chance.random() * max(_WEEKDAYS) < _WEEKDAYS[moment.weekday()]:
                return moment


async def generate(database: Database, events: int, seed: int, progress: Callable[[int], object]) -> None:
    """Write everything through `database`; `progress` is told how many events have been written."""
    written = 0
    for table, rows in Generator(seed).rows(events):
        async with database.session() as session:
            await session.execute(insert(table), rows)
            await session.commit()
        if table is attribution_events:
            written += len(rows)
            progress(written)


async def run(events: int, seed: int, console: Console) -> None:
    """Fill the database of the settings."""
    async with Seawall.from_env(service="podcasts").database as database:
        await asyncio.to_thread(upgrade, database)
        if await database.fetch("SELECT slug FROM tenants"):
            console.print("[yellow]There are tenants already; generated data goes into an empty database.[/]")
            raise SystemExit(1)
        columns = (TextColumn("attribution events"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=events)
            await generate(database, events, seed, lambda written: progress.update(task, completed=written))
    console.print(f"{events} events of {CAMPAIGNS} campaigns in {PODCASTS} podcasts of {len(TENANTS)} tenants.")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m podcasts.generate", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help=f"attribution events (default {EVENTS})")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other data (default 1)")
    options = parser.parse_args()
    if options.events < 0:
        parser.error(f"--events is {options.events}; allowed: 0 or more")
    asyncio.run(run(options.events, options.seed, Console()))


if __name__ == "__main__":
    main()
