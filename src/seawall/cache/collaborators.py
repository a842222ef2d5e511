"""What the cache asks of other parts, without knowing them: a circuit breaker, and the database its loaders read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from seawall.cache.tier import Tier, TierUnavailableError


class Breaker(Protocol):
    """What the cache asks of a circuit breaker around the shared tier; `seawall.resilience.CircuitBreaker` is one."""

    def guard(self) -> AbstractContextManager[Any]:
        """A block for one call; entering it raises while the circuit is open."""
        ...


class Consistency(Protocol):
    """What the cache asks of a database whose replicas lag; `seawall.database.Database` is one.

    Who voids an entry has mostly written just before. Whoever loads it anew, in whichever process, must read what he
    wrote, and not what a replica still has.
    """

    def written(self) -> str | None:
        """How far whoever runs now has written and read, None for not at all."""
        ...

    def heard(self, position: str | None) -> None:
        """Loads read at least this from now on; None: as much as there is now, for something was missed."""
        ...

    def loading(self) -> AbstractContextManager[Any]:
        """A block that loads."""
        ...


@contextmanager
def guarded(breaker: Breaker, tier: Tier) -> Iterator[Tier]:
    """A block that asks `tier` through `breaker`."""
    # What the breaker raises when it refuses is its own; to the cache it means the same as a tier that is away.
    block = breaker.guard()
    try:
        block.__enter__()
    except Exception as error:
        raise TierUnavailableError from error
    try:
        yield tier
    except BaseException as error:
        if not block.__exit__(type(error), error, error.__traceback__):
            raise
    else:
        block.__exit__(None, None, None)
