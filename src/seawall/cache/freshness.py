"""How long an entry is good, and what it may still be used for when it is not."""

from __future__ import annotations

import random
from dataclasses import dataclass

from seawall.core.options import number

FOREVER = float("inf")


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """The options of an entry's life. Durations are in seconds.

        stored         refresh_at       fresh_until      + stale_while_revalidate    + fail_safe
          │ answered as is │ … and refreshed │ stale answer, refreshed │ only if the loader fails │ gone

    ttl: how long it is fresh. jitter: the share of ttl that is cut off by chance, so that entries stored together
        don't expire together.
    stale_while_revalidate: how long after that a stale answer is given at once while a fresh one is fetched.
    fail_safe: how long after `ttl` a stale answer stands in for a loader that fails or times out. fail_safe_for:
        such an answer is then given for this long without asking the loader again.
    eager: the share of ttl after which a read refreshes the entry behind the caller's back; None never does.
    negative_ttl: how long a result of None is kept; None keeps it for ttl, 0 does not keep it.
    negative_errors: errors of the loader that are answers, such as "not found": kept and raised like a result, for
        `negative_ttl`.
    soft_timeout: where there is a stale answer, it is given after this long, and the load goes on behind it.
    hard_timeout: a load is given up after this long; None leaves it to the callers' deadlines.
    """

    ttl: float = 300.0
    jitter: float = 0.1
    stale_while_revalidate: float = 0.0
    fail_safe: float = 0.0
    fail_safe_for: float = 1.0
    eager: float | None = None
    negative_ttl: float | None = None
    negative_errors: tuple[type[Exception], ...] = ()
    soft_timeout: float | None = None
    hard_timeout: float | None = None

    def __post_init__(self) -> None:
        number("Freshness", "ttl", self.ttl, above=0)
        number("Freshness", "jitter", self.jitter, at_least=0, at_most=0.9)
        for option in ("stale_while_revalidate", "fail_safe", "fail_safe_for"):
            number("Freshness", option, getattr(self, option), at_least=0)
        for option in ("soft_timeout", "hard_timeout"):
            if getattr(self, option) is not None:
                number("Freshness", option, getattr(self, option), above=0)
        if self.eager is not None:
            number("Freshness", "eager", self.eager, above=0, at_most=1)
        if self.negative_ttl is not None:
            number("Freshness", "negative_ttl", self.negative_ttl, at_least=0)

    def lifetime(self, ttl: float | None = None) -> float:
        """Seconds of freshness for an entry stored now: `ttl` (default: the options') less its jitter."""
        ttl = self.ttl if ttl is None else ttl
        return ttl * (1.0 - self.jitter * random.random()) if self.jitter else ttl

    def refresh_at(self, stored: float, fresh_until: float) -> float:
        """When a read starts to refresh an entry that is fresh from `stored` to `fresh_until`."""
        return fresh_until if self.eager is None else stored + (fresh_until - stored) * self.eager

    @property
    def retention(self) -> float:
        """How long after its freshness an entry is of use."""
        return max(self.stale_while_revalidate, self.fail_safe)
