"""Which orders of policies can't work, and what the right one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seawall.resilience.adaptive import AdaptiveLimit
from seawall.resilience.breaker import CircuitBreaker
from seawall.resilience.chaos import Chaos
from seawall.resilience.errors import PipelineOrderError
from seawall.resilience.fallback import Fallback
from seawall.resilience.hedge import Hedge
from seawall.resilience.policy import Policy
from seawall.resilience.retry import Retry
from seawall.resilience.timeout import Timeout

# (outer, inner, why the outer one can't stand outside the inner one)
_RULES: tuple[tuple[type[Policy], type[Policy], str], ...] = (
    (Retry, Fallback, "a retry outside a fallback never sees the error that the fallback replaces"),
    (CircuitBreaker, Fallback, "a breaker outside a fallback never sees the failures that the fallback replaces"),
    (AdaptiveLimit, Fallback, "an adaptive limit outside a fallback measures several dependencies as one"),
    (Hedge, Fallback, "a hedge outside a fallback takes an alternative's answer for the dependency's"),
    (
        CircuitBreaker,
        Retry,
        "a breaker outside a retry sees one failure for several, and lets retries through while open",
    ),
    (AdaptiveLimit, Retry, "an adaptive limit outside a retry takes the pauses between attempts for latency"),
    (AdaptiveLimit, Hedge, "an adaptive limit outside a hedge counts several calls as one"),
)


def refuse_wrong_order(name: str, policies: Sequence[Any]) -> None:
    """Raise `PipelineOrderError` when `policies`, outermost first, can't work in this order."""
    for index, outer in enumerate(policies):
        for inner in policies[index + 1 :]:
            reason = _conflict(outer, inner)
            if reason is not None:
                raise PipelineOrderError(name, reason, describe(_right(policies)))


def describe(policies: Sequence[Any]) -> str:
    """How an order is written, outermost first."""
    return " > ".join(
        repr(policy) if isinstance(policy, Policy) else getattr(policy, "__name__", repr(policy)) for policy in policies
    )


def _conflict(outer: Any, inner: Any) -> str | None:
    if outer is inner:
        return f"{outer!r} stands in it twice; once is enough"
    for outer_type, inner_type, why in _RULES:
        if isinstance(outer, outer_type) and isinstance(inner, inner_type):
            return why
    if isinstance(outer, Chaos) and not isinstance(inner, Chaos):
        return "chaos outside another policy hides its faults from that policy"
    if isinstance(outer, Retry) and isinstance(inner, Retry):
        return f"two retries multiply to {outer.attempts * inner.attempts} attempts"
    if isinstance(outer, Timeout) and isinstance(inner, Timeout) and inner.seconds >= outer.seconds:
        return f"the inner timeout of {inner.seconds:g} s can never fire inside one of {outer.seconds:g} s"
    return None


def _right(policies: Sequence[Any]) -> list[Any]:
    """The nearest order without a conflict. Of two policies that can't stand in one pipeline, the first is kept."""
    right: list[Any] = []
    for policy in policies:
        if any(_conflict(policy, other) and _conflict(other, policy) for other in right):
            continue
        # As far in as possible, unless it can't stand inside what is there already.
        place = len(right)
        while place > 0 and any(_conflict(other, policy) is not None for other in right[:place]):
            place -= 1
        right.insert(place, policy)
    return right
