"""Where podcasts, sponsors and campaigns are kept; in memory for now, behind an interface that a database fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from podcasts.models import Campaign, Podcast, Redemption, Sponsor
from seawall.core import SeawallError

T = TypeVar("T", Podcast, Sponsor, Campaign)


class NotFoundError(SeawallError):
    """There is no such thing."""

    code = "not-found"
    status = 404
    public = True

    def __init__(self, resource: str, id: UUID) -> None:  # noqa: A002 - what the caller calls it
        super().__init__(resource, id)
        self.resource = resource
        self.id = id

    def __str__(self) -> str:
        return f"there is no {self.resource} {self.id}"


class Store(Protocol):
    """Keeps frozen models by type and id, each of one tenant, whom nobody else's are shown."""

    async def save(self, item: T) -> T:
        """Keep `item`, in place of one with its id."""
        ...

    async def get(self, kind: type[T], id: UUID, *, tenant: str) -> T:  # noqa: A002
        """The tenant's item of that type and id. Raises `NotFoundError`."""
        ...

    async def update(self, kind: type[T], id: UUID, *, tenant: str, **changes: object) -> T:  # noqa: A002
        """Change some fields of what is kept now, at once. Raises `NotFoundError`."""
        ...

    async def list(self, kind: type[T], *, tenant: str, after: UUID | None, limit: int) -> Sequence[T]:
        """Up to `limit` of the tenant's items in the order they were first saved, behind the one with id `after`."""
        ...

    async def tenants(self) -> Sequence[str]:
        """Those who have something."""
        ...

    async def redeem(self, redemption: Redemption) -> Redemption:
        """Keep a redemption."""
        ...

    async def redemptions(self, campaign_id: UUID) -> tuple[Redemption, ...]:
        """Those of a campaign."""
        ...


class MemoryStore:
    """A `Store` that forgets when the process ends."""

    def __init__(self) -> None:
        self._items: dict[type, dict[UUID, Podcast | Sponsor | Campaign]] = {Podcast: {}, Sponsor: {}, Campaign: {}}
        self._redemptions: dict[UUID, list[Redemption]] = {}

    async def save(self, item: T) -> T:
        """Keep `item`, in place of one with its id."""
        self._items[type(item)][item.id] = item
        return item

    async def get(self, kind: type[T], id: UUID, *, tenant: str) -> T:  # noqa: A002
        """The tenant's item of that type and id. Raises `NotFoundError`."""
        item = self._items[kind].get(id)
        if not isinstance(item, kind) or item.tenant != tenant:
            raise NotFoundError(kind.__name__.lower(), id)
        return item

    async def update(self, kind: type[T], id: UUID, *, tenant: str, **changes: object) -> T:  # noqa: A002
        """Change some fields of what is kept now, at once. Raises `NotFoundError`."""
        return await self.save((await self.get(kind, id, tenant=tenant)).model_copy(update=changes))

    async def list(self, kind: type[T], *, tenant: str, after: UUID | None, limit: int) -> Sequence[T]:
        """Up to `limit` of the tenant's items in the order they were first saved, behind the one with id `after`."""
        items = [item for item in self._items[kind].values() if isinstance(item, kind) and item.tenant == tenant]
        start = 0
        if after is not None:
            await self.get(kind, after, tenant=tenant)
            start = next(index for index, item in enumerate(items) if item.id == after) + 1
        return items[start : start + limit]

    async def tenants(self) -> Sequence[str]:
        """Those who have something."""
        return list(dict.fromkeys(item.tenant for items in self._items.values() for item in items.values()))

    async def redeem(self, redemption: Redemption) -> Redemption:
        """Keep a redemption."""
        self._redemptions.setdefault(redemption.campaign_id, []).append(redemption)
        return redemption

    async def redemptions(self, campaign_id: UUID) -> tuple[Redemption, ...]:
        """Those of a campaign."""
        return tuple(self._redemptions.get(campaign_id, ()))
