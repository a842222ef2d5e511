"""What the service knows: podcasts, the sponsors who advertise in them, and the campaigns between the two."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

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
    listeners: Annotated[int, Field(ge=0)] = 0


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


class NewRedemption(Model):
    """Somebody bought with a campaign's promo code. `amount` is in US dollars."""

    amount: Annotated[Decimal, Field(gt=0, le=1_000_000, decimal_places=2)]


class Redemption(NewRedemption):
    """A redemption, and of what."""

    id: UUID = Field(default_factory=uuid4)
    campaign_id: UUID


class Analytics(Model):
    """What a campaign has brought so far. `revenue` is in US dollars."""

    campaign_id: UUID
    redemptions: int
    revenue: Decimal
    return_on_budget: Decimal


class Sent(Model):
    """Mail that the mail provider has taken."""

    message_id: str
