"""The seam between the cache and a tier that processes share: what is kept there, and who hears of changes.

    class MyTier: ...                       # implement `Tier`
    seawall.testing.check_tier(MyTier())    # and have it checked

Every write gets a version from the tier, later writes of a key a greater one. Changes are told to every attached
listener, so that no process answers from memory what another one has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from seawall.cache.record import Record
from seawall.core import Health, SeawallError
from seawall.core.errors import Severity


class TierUnavailableError(SeawallError):
    """The tier can't be asked now. The cache answers without it; callers of the cache never see this."""

    code = "cache-tier-unavailable"
    status = 503
    category = "cache"
    severity = Severity.MEDIUM
    retryable = True


class Listener(Protocol):
    """Who hears of what happens in a tier. Called from the event loop; must not block or raise."""

    def changed(self, key: str, version: int) -> None:
        """The record of `key` was written or deleted, by another process, as `version`."""
        ...

    def invalidated(self, tag: str, version: int) -> None:
        """Everything that carries `tag` and is not newer than `version` is void."""
        ...

    def released(self, key: str, failed: str | None) -> None:
        """A load of `key` ended in another process without a record; `failed` names the error's class if it failed."""
        ...

    def announced(self, text: str) -> None:
        """Somebody, this process included, has called `Tier.announce`."""
        ...

    def lost(self) -> None:
        """From now on changes go unheard."""
        ...

    def back(self, *, gapless: bool, wiped: bool) -> None:
        """Changes are heard again.

        gapless: those made meanwhile have been told by now. wiped: the tier has lost what it had, tombstones too.
        """
        ...


@dataclass(frozen=True, slots=True)
class Granted:
    """The lease is ours: load, and store what was loaded as `version`."""

    version: int


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else loads; if nothing is heard, ask again after `seconds`."""

    seconds: float


Lease = Granted | Held | Record
"""What asking for a lease brings: a record was written meanwhile, or the lease, or who has it."""


class Tier(Protocol):
    """A store that processes share. Every method but `attach` raises `TierUnavailableError` where it can't answer.

    Entering it never fails because the server is away: it tells its listeners `back` as soon as it can be asked, and
    `lost` when it can't any more. `available` says which of the two was last.
    Times are seconds since 1970 by `clock()`, the same in every process; versions are its microseconds.
    """

    @property
    def name(self) -> str:
        """The tier's name, unique in a service."""
        ...

    @property
    def available(self) -> bool:
        """Whether it can be asked."""
        ...

    def clock(self) -> float:
        """Seconds since 1970, the same in every process as nearly as can be told."""
        ...

    def attach(self, listener: Listener) -> None:
        """Tell `listener` of changes from now on."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def check(self) -> Health:
        """The tier's health now."""
        ...

    async def get(self, key: str) -> Record | None:
        """The record of `key`; None where there is none, or bytes that are none."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[Record | None]:
        """The records of `keys`, in their order."""
        ...

    async def write(self, key: str, record: Record, *, keep: float) -> int:
        """Put `record` in place, whatever is there, for `keep` seconds; the version it got. Ends leases."""
        ...

    async def fill(self, key: str, record: Record, *, keep: float, token: str) -> bool:
        """Put `record` in place if what is there is older; whether it was put. Ends the lease of `token`."""
        ...

    async def delete(self, key: str) -> int:
        """Remove the record of `key`; the delete's version. Fills with an older one lose from now on. Ends leases."""
        ...

    async def invalidate(self, tag: str) -> int:
        """Void everything that carries `tag`; as of which version."""
        ...

    async def invalidations(self, tags: Sequence[str]) -> list[int]:
        """For each tag the version of its last invalidation, 0 where it never was."""
        ...

    async def acquire(self, key: str, *, seen: int, token: str, seconds: float) -> Lease:
        """Ask to be the one who loads `key`, for `seconds`, having seen the record of version `seen` (0: none)."""
        ...

    async def renew(self, key: str, *, token: str, seconds: float) -> bool:
        """Keep the lease for `seconds` more; False when it is lost."""
        ...

    async def release(self, key: str, *, token: str, failed: str | None = None) -> None:
        """Give the lease back without a record; `failed` names the class of the error the load failed with."""
        ...

    def announce(self, text: str) -> None:
        """Tell every listener `text`, those of other processes before whatever is done here afterwards; or nobody."""
        ...

    async def replay(self, changes: Sequence[Change]) -> None:
        """Apply what was done while the tier was away, each where nothing newer is there."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """Something done while the tier was away: a write (with a record), a delete, or a tag's invalidation."""

    version: int
    key: str | None = None
    record: Record | None = None
    keep: float = 0.0
    tag: str | None = None
