"""The service's endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query

from podcasts.billing import Billing
from podcasts.catalogue import FIRST_PAGE, Catalogue
from podcasts.copywriting import Copywriter
from podcasts.mail import Mailer
from podcasts.models import (
    MAIN,
    Analytics,
    Campaign,
    Copy,
    Event,
    Events,
    Invoice,
    NewCampaign,
    NewEvent,
    NewPodcast,
    NewSponsor,
    NewUser,
    Podcast,
    Sent,
    Sponsor,
    Tenant,
    User,
)
from podcasts.store import Store
from seawall.core import OptionError
from seawall.errors import InvalidStateError, ValidationError

Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
After = Annotated[UUID | None, Query(description="The id of the last one on the page before.")]
TenantHeader = Annotated[Tenant, Header(alias="X-Tenant", description="Whose data it is.")]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the endpoints work with."""

    store: Store
    catalogue: Catalogue
    copywriter: Copywriter
    billing: Billing
    mailer: Mailer


def router(parts: Parts) -> APIRouter:
    """Everything below `/api/v1`."""
    api = APIRouter(prefix="/api/v1", responses=_problems(404, 422, 503, 504))
    _catalogue(api, parts.store, parts.catalogue)
    _campaigns(api, parts)
    _orders(api, parts)
    return api


def _catalogue(api: APIRouter, store: Store, catalogue: Catalogue) -> None:
    @api.post("/podcasts", status_code=201, tags=["podcasts"])
    async def register_podcast(podcast: NewPodcast, tenant: TenantHeader = MAIN) -> Podcast:
        """Register a podcast."""
        saved = await store.add(Podcast(**podcast.model_dump(), tenant=tenant))
        await catalogue.changed(Podcast, tenant)
        return saved

    @api.get("/podcasts", tags=["podcasts"])
    async def list_podcasts(
        after: After = None, limit: Limit = FIRST_PAGE, tenant: TenantHeader = MAIN
    ) -> Sequence[Podcast]:
        """List podcasts, a page at a time."""
        return await catalogue.podcasts(tenant, after, limit)

    @api.post("/sponsors", status_code=201, tags=["sponsors"])
    async def register_sponsor(sponsor: NewSponsor, tenant: TenantHeader = MAIN) -> Sponsor:
        """Register a sponsor."""
        saved = await store.add(Sponsor(**sponsor.model_dump(), tenant=tenant))
        await catalogue.changed(Sponsor, tenant)
        return saved

    @api.post("/users", status_code=201, tags=["users"], responses=_problems(409))
    async def add_user(user: NewUser, tenant: TenantHeader = MAIN) -> User:
        """Add somebody who works for the tenant."""
        return await store.add(User(**user.model_dump(), tenant=tenant))

    @api.get("/users", tags=["users"])
    async def list_users(after: After = None, limit: Limit = FIRST_PAGE, tenant: TenantHeader = MAIN) -> Sequence[User]:
        """List users, a page at a time."""
        return await store.list(User, tenant=tenant, after=after, limit=limit)

    @api.get("/sponsors", tags=["sponsors"])
    async def list_sponsors(
        after: After = None, limit: Limit = FIRST_PAGE, tenant: TenantHeader = MAIN
    ) -> Sequence[Sponsor]:
        """List sponsors, a page at a time."""
        return await catalogue.sponsors(tenant, after, limit)


def _campaigns(api: APIRouter, parts: Parts) -> None:
    store = parts.store

    @api.post("/campaigns", status_code=201, tags=["campaigns"])
    async def create_campaign(campaign: NewCampaign, tenant: TenantHeader = MAIN) -> Campaign:
        """Plan a campaign of a sponsor in a podcast."""
        await store.get(Podcast, campaign.podcast_id, tenant=tenant)
        await store.get(Sponsor, campaign.sponsor_id, tenant=tenant)
        return await store.add(Campaign(**campaign.model_dump(), tenant=tenant))

    @api.get("/campaigns", tags=["campaigns"])
    async def list_campaigns(
        after: After = None, limit: Limit = FIRST_PAGE, tenant: TenantHeader = MAIN
    ) -> Sequence[Campaign]:
        """List campaigns, a page at a time."""
        return await store.list(Campaign, tenant=tenant, after=after, limit=limit)

    @api.get("/campaigns/{id}", tags=["campaigns"])
    async def get_campaign(id: UUID, tenant: TenantHeader = MAIN) -> Campaign:  # noqa: A002 - the path's own word
        """A campaign as it stands."""
        return await store.get(Campaign, id, tenant=tenant)

    @api.post("/campaigns/{id}/events", status_code=201, tags=["campaigns"], responses=_problems(409))
    async def record_event(id: UUID, event: NewEvent, tenant: TenantHeader = MAIN) -> Event:  # noqa: A002
        """A listener downloaded the episode, visited the sponsor's page, or bought with the promo code."""
        campaign = await store.get(Campaign, id, tenant=tenant)
        return await store.record(Event(**event.model_dump(), campaign_id=campaign.id))

    @api.get("/campaigns/{id}/events", tags=["campaigns"])
    async def list_events(
        id: UUID,  # noqa: A002
        after: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
        limit: Limit = FIRST_PAGE,
        tenant: TenantHeader = MAIN,
    ) -> Events:
        """What listeners did because of the campaign, the newest first, a page at a time."""
        campaign = await store.get(Campaign, id, tenant=tenant)
        try:
            return await store.events(campaign.id, after=after, limit=limit)
        except OptionError as error:
            raise ValidationError("query.after", "is no `next` of a page of these events") from error

    @api.get("/campaigns/{id}/analytics", tags=["campaigns"])
    async def analyse_campaign(id: UUID, tenant: TenantHeader = MAIN) -> Analytics:  # noqa: A002
        """What the campaign has brought; up to a minute old."""
        return await parts.catalogue.analytics(tenant, id)


def _orders(api: APIRouter, parts: Parts) -> None:
    store = parts.store

    @api.post("/campaigns/{id}/copy", tags=["campaigns"])
    async def write_copy(id: UUID, tenant: TenantHeader = MAIN) -> Copy:  # noqa: A002
        """Write the ad-read, with whichever language model is well."""
        campaign = await store.get(Campaign, id, tenant=tenant)
        podcast = await store.get(Podcast, campaign.podcast_id, tenant=tenant)
        sponsor = await store.get(Sponsor, campaign.sponsor_id, tenant=tenant)
        copy = await parts.copywriter.write(campaign, podcast, sponsor)
        await store.update(Campaign, id, tenant=tenant, ad_read=copy)
        return copy

    @api.post("/campaigns/{id}/invoice", tags=["campaigns"])
    async def invoice_campaign(id: UUID, tenant: TenantHeader = MAIN) -> Invoice:  # noqa: A002
        """Invoice the sponsor; asking again gives the same invoice."""
        campaign = await store.get(Campaign, id, tenant=tenant)
        if campaign.invoice is not None:
            return campaign.invoice
        sponsor = await store.get(Sponsor, campaign.sponsor_id, tenant=tenant)
        invoice = await parts.billing.invoice(campaign, sponsor)
        await store.update(Campaign, id, tenant=tenant, invoice=invoice)
        return invoice

    @api.post("/campaigns/{id}/mail", tags=["campaigns"], responses=_problems(409))
    async def mail_copy(id: UUID, tenant: TenantHeader = MAIN) -> Sent:  # noqa: A002
        """Send the ad-read to the podcast's host."""
        campaign = await store.get(Campaign, id, tenant=tenant)
        if campaign.ad_read is None:
            first = "It has no ad-read yet; write one with POST /api/v1/campaigns/{id}/copy."
            raise InvalidStateError("campaign", id, user_message=first)
        podcast = await store.get(Podcast, campaign.podcast_id, tenant=tenant)
        return await parts.mailer.send_copy(campaign, podcast)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declared for the documentation; the layer fills in what a problem looks like."""
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}
