"""What is read far more often than it changes, cached: lists of podcasts and sponsors, and campaigns' analytics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from decimal import Decimal
from uuid import UUID

from podcasts.models import Analytics, Campaign, Podcast, Sponsor
from podcasts.store import Store, Total
from seawall import Seawall
from seawall.cache import Freshness

CATEGORIES = {
    "lists": Freshness(ttl=300.0, fail_safe=3600.0, eager=0.9),
    "analytics": Freshness(ttl=60.0, stale_while_revalidate=30.0, fail_safe=600.0),
}
"""How long what is fresh; `CACHE_TTL_LISTS` and `CACHE_TTL_ANALYTICS` overrule it."""

FIRST_PAGE = 20


class Catalogue:
    """Reads through the service's cache; whoever changes a tenant's podcasts or sponsors says so with `changed`.

    What it returns is frozen, so the cache hands every caller the same objects.
    """

    def __init__(self, sea: Seawall, store: Store) -> None:
        self.cache = cache = sea.cache
        self.store = store

        @cache.cached("podcasts:{tenant}:{after}:{limit}", category="lists", tags=["tenant:{tenant}:podcasts"])
        async def podcasts(tenant: str, after: UUID | None, limit: int) -> tuple[Podcast, ...]:
            return tuple(await store.list(Podcast, tenant=tenant, after=after, limit=limit))

        @cache.cached("sponsors:{tenant}:{after}:{limit}", category="lists", tags=["tenant:{tenant}:sponsors"])
        async def sponsors(tenant: str, after: UUID | None, limit: int) -> tuple[Sponsor, ...]:
            return tuple(await store.list(Sponsor, tenant=tenant, after=after, limit=limit))

        @cache.cached("analytics:{tenant}:{campaign_id}", category="analytics", tags=["tenant:{tenant}:analytics"])
        async def analytics(tenant: str, campaign_id: UUID) -> Analytics:
            campaign = await store.get(Campaign, campaign_id, tenant=tenant)
            return count(campaign, await store.totals(campaign_id))

        self.podcasts = podcasts
        self.sponsors = sponsors
        self.analytics = analytics

        @sea.warmer.strategy("first pages", priority=10)
        async def first_pages() -> AsyncIterator[Awaitable[object]]:
            for tenant in await store.tenants():
                yield podcasts(tenant, None, FIRST_PAGE)
                yield sponsors(tenant, None, FIRST_PAGE)

        @sea.warmer.strategy("campaign analytics", priority=5)
        async def campaign_analytics() -> AsyncIterator[Awaitable[object]]:
            for tenant in await store.tenants():
                for campaign in await store.list(Campaign, tenant=tenant, after=None, limit=100):
                    yield analytics(tenant, campaign.id)

    async def changed(self, kind: type[Podcast] | type[Sponsor], tenant: str) -> None:
        """The tenant's podcasts or sponsors were changed: no process answers the old lists any more."""
        await self.cache.invalidate(f"tenant:{tenant}:{kind.__name__.lower()}s")


def count(campaign: Campaign, totals: Mapping[str, Total]) -> Analytics:
    """What a campaign has brought."""
    nothing = Total(0, 0)
    revenue = Decimal(totals.get("redemption", nothing).amount).scaleb(-2)
    return Analytics(
        campaign_id=campaign.id,
        downloads=totals.get("download", nothing).events,
        visits=totals.get("visit", nothing).events,
        redemptions=totals.get("redemption", nothing).events,
        revenue=revenue,
        return_on_budget=(revenue / campaign.budget).quantize(Decimal("0.0001")),
    )
