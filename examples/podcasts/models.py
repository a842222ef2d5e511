"""What the service knows: podcasts, the sponsors who advertise in them, and the campaigns between the two."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from seawall.errors import ValidationError

Name = Annotated[str, Field(min_length=1, max_length=200)]
Tenant = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]

MAIN = "main"
"""The tenant of requests that name none."""


class Model(BaseModel):
    """Frozen, and strict about fields nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewPodcast(Model):
    """A podcast to register."""

    title: Name
    host: Name
    email: Email
    listeners: Annotated[int, Field(ge=0, le=10_000_000_000)] = 0


class Podcast(NewPodcast):
    """A registered podcast, of one tenant."""

    id: UUID = Field(default_factory=uuid4)
    tenant: Tenant = MAIN


class NewSponsor(Model):
    """A sponsor to register."""

    name: Name
    email: Email
    product: Name


class Sponsor(NewSponsor):
    """A registered sponsor, of one tenant."""

    id: UUID = Field(default_factory=uuid4)
    tenant: Tenant = MAIN


class NewCampaign(Model):
    """A campaign of one sponsor in one podcast. `budget` is in US dollars."""

    podcast_id: UUID
    sponsor_id: UUID
    budget: Annotated[Decimal, Field(gt=0, le=1_000_000, decimal_places=2)]
    promo_code: Annotated[str, Field(pattern=r"^[A-Z0-9]{3,20}$")]


class Copy(Model):
    """An ad-read, and who wrote it."""

    text: str
    provider: str
    model: str
    tokens: int
    written_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Invoice(Model):
    """An invoice at the payment provider. `amount` is in US dollars."""

    id: str
    number: str | None
    status: str
    amount: Decimal


class Campaign(NewCampaign):
    """A campaign as it stands."""

    id: UUID = Field(default_factory=uuid4)
    tenant: Tenant = MAIN
    ad_read: Copy | None = None
    invoice: Invoice | None = None


class NewUser(Model):
    """Somebody who works for a tenant."""

    name: Name
    email: Email
    role: Literal["owner", "editor", "viewer"] = "editor"


class User(NewUser):
    """A user, of one tenant."""

    id: UUID = Field(default_factory=uuid4)
    tenant: Tenant = MAIN


class NewEvent(Model):
    """What a listener did because of a campaign; `amount`, in US dollars, is what was bought with its promo code.

    Who sends the `id` may send it again when no answer came: it is counted once.
    """

    id: UUID = Field(default_factory=uuid4)
    kind: Literal["download", "visit", "redemption"]
    amount: Annotated[Decimal, Field(gt=0, le=1_000_000, decimal_places=2)] | None = None
    happened_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))

    @model_validator(mode="after")
    def _only_purchases_have_an_amount(self) -> Self:
        if (self.kind == "redemption") is not (self.amount is not None):
            raise ValidationError("amount", "is what a redemption has, and nothing else")
        return self


class Event(NewEvent):
    """An event, and of which campaign."""

    campaign_id: UUID


class Events(Model):
    """A page of events, the newest first. `next` is the following page's `after`."""

    items: tuple[Event, ...]
    next: str | None


class Analytics(Model):
    """What a campaign has brought so far. `revenue` is in US dollars."""

    campaign_id: UUID
    downloads: int
    visits: int
    redemptions: int
    revenue: Decimal
    return_on_budget: Decimal


class Sent(Model):
    """Mail that the mail provider has taken."""

    message_id: str
