"""What the statistics of a cache say a person should do about it.

Each rule looks at one key template, or at memory, and speaks only where it has seen enough to be sure; so a quiet
cache gets no advice. Add a rule by adding it to `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from seawall.cache.analytics import CacheStatistics, TemplateStatistics


class Severity(StrEnum):
    """How grave a recommendation is: something is wrong, or something could be better."""

    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What to change, and why.

    code: the rule, stable. subject: a key template, or `memory`. category: the template's; empty for memory.
    message: what was seen and what to do. figures: the numbers it was judged by.
    """

    severity: Severity
    code: str
    subject: str
    category: str
    message: str
    figures: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


MANY = 100
"""Requests, writes, waits or evictions below which nothing is said about them."""
SOME = 50
"""The same for reloads and expiries."""
FEW = 10
"""The same for what should not happen at all: failures, undecodable records."""
REFUSALS = 3
"""The same for values too large, each of which costs a load every time."""
OFTEN = 20
"""Requests per expiry above which a template is hot, and expiries below which it says nothing."""
SLOW = 0.1
"""Seconds a caller may wait for a load without it being worth a word."""
CROWD = 10
"""Callers who wait for each load above which there are too many."""
MOSTLY = 0.8
"""The share of reloads that brought nothing new, or of the size limit, above which it is worth a word."""
TOUCHED = 0.05
"""The share of loads that fail, or of requests that a larger memory would answer, above which it is."""
LONG_ENOUGH = 600.0
"""Seconds after which a key that will be read again has been, whatever its time to live."""


class Advice(NamedTuple):
    """What a rule has to say of a template, whose name begins the sentence."""

    severity: Severity
    message: str
    figures: dict[str, float]


Rule = Callable[[TemplateStatistics, CacheStatistics], Advice | None]


def recommendations(statistics: CacheStatistics) -> list[Recommendation]:
    """See `Cache.recommendations`."""
    found = [
        Recommendation(
            severity=advice.severity,
            code=code,
            subject=each.template,
            category=each.category,
            message=f"{each.template!r} {advice.message}",
            figures=advice.figures,
        )
        for each in statistics.templates
        for code, rule in RULES.items()
        if (advice := rule(each, statistics)) is not None
    ]
    small = _memory_too_small(statistics)
    if small is not None:
        found.append(small)
    return sorted(found, key=lambda each: each.severity is Severity.INFO)


def _warning(message: str, **figures: float) -> Advice:
    return Advice(Severity.WARNING, message, figures)


def _info(message: str, **figures: float) -> Advice:
    return Advice(Severity.INFO, message, figures)


def _failing(each: TemplateStatistics, _: CacheStatistics) -> Advice | None:
    loads = max(each.loads, each.failed, 1)
    if each.failed < FEW or each.failed < TOUCHED * loads:
        return None
    if each.freshness is None:
        remedy = "It has never succeeded; look at its loader"
    elif not each.freshness.fail_safe:
        remedy = "Set fail_safe, and its callers get the last good value"
    else:
        remedy = f"{each.fail_safes} times something stale stood in; look at its loader"
    return _warning(
        f"failed to load {each.failed} times, {each.failed / loads:.0%} of all. {remedy}",
        failed=each.failed,
        loads=each.loads,
        fail_safes=each.fail_safes,
    )


def _undecodable(each: TemplateStatistics, _: CacheStatistics) -> Advice | None:
    if each.undecodable < FEW:
        return None
    return _warning(
        f"met {each.undecodable} records that are no value of its type: another version of the service, or another "
        "function, writes the same keys. Give the tier another version, or the template another name",
        undecodable=each.undecodable,
        remote_hits=each.remote_hits,
    )


def _never_hit(each: TemplateStatistics, cache: CacheStatistics) -> Advice | None:
    answered = each.requests - each.misses
    figures = {"requests": each.requests, "answered": answered, "loads": each.loads, "writes": each.writes}
    # It must have had the time to be read again, and time must not be what it lacked.
    if cache.seconds < min(each.mean_ttl, LONG_ENOUGH) or (each.misses and each.expired * 2 > _alone(each)):
        return None
    if not each.requests and each.writes >= MANY and cache.tier is None:
        return _warning(f"was written {each.writes} times and never asked for. Don't cache it", **figures)
    kept_from = each.refused or each.undecodable or each.failed
    if each.misses < MANY or answered * 100 > each.requests or kept_from:
        return None
    if not each.loads and not each.writes:
        return _warning(
            f"was asked for {each.requests} times, and nothing has been stored under it here. "
            "Look whether it is written under the same key, or use get_or_set()",
            **figures,
        )
    return _warning(
        f"was asked for {each.requests} times and answered from the cache {answered} times; its keys seem to hold "
        "something unique, such as a time or a request's id. Leave that out, or don't cache it",
        **figures,
    )


def _too_big(each: TemplateStatistics, cache: CacheStatistics) -> Advice | None:
    limit = cache.max_value_bytes
    figures = {"refused": each.refused, "mean_bytes": each.mean_bytes, "largest_bytes": each.largest_bytes}
    if each.refused >= REFUSALS:
        return _warning(
            f"brought {each.refused} values too large to be kept, which are loaded anew each time. "
            f"Cache less of them, or raise the limit (max_value_bytes is {limit})",
            limit=limit,
            **figures,
        )
    if each.largest_bytes > MOSTLY * limit:
        return _info(
            f"has values of up to {each.largest_bytes} bytes, near the limit of {limit}, above which they are not "
            "kept. Cache less of them, or raise max_value_bytes",
            limit=limit,
            **figures,
        )
    return None


def _stampede(each: TemplateStatistics, _: CacheStatistics) -> Advice | None:
    if not _is_crowded(each):
        return None
    waits = each.waits / each.loads
    expires = each.expired * 2 >= _alone(each) and _is_plain(each)
    return _info(
        f"is so much in demand that {waits:.0f} callers wait for each load, {each.load_times.p95:.2g} s at p95. "
        + ("Set stale_while_revalidate or eager" if expires else "Warm it before it is asked for"),
        waits_per_load=waits,
        p95=each.load_times.p95,
        expired=each.expired,
    )


def _eager(each: TemplateStatistics, _: CacheStatistics) -> Advice | None:
    p95 = each.load_times.p95
    hot = each.expired >= OFTEN and each.requests >= OFTEN * each.expired
    if not hot or p95 < SLOW or not _is_plain(each) or _is_crowded(each):
        return None
    return _info(
        f"is hot, and each time it expires a caller waits {p95:.2g} s (p95); that was {each.expired} times. "
        "Set eager=0.8 or stale_while_revalidate, which load it behind their backs",
        expired=each.expired,
        requests=each.requests,
        p95=p95,
    )


def _ttl(each: TemplateStatistics, cache: CacheStatistics) -> Advice | None:
    ratio = each.hit_ratio or 0.0
    figures = {
        "ttl": each.mean_ttl,
        "loads_per_minute": 60.0 * each.loads / cache.seconds if cache.seconds else 0.0,
        "unchanged": each.unchanged / each.reloads if each.reloads else 0.0,
        "expired": each.expired / _alone(each) if each.misses else 0.0,
        "hit_ratio": ratio,
    }
    if each.reloads >= SOME and each.unchanged >= MOSTLY * each.reloads:
        return _info(
            f"lives {each.mean_ttl:.3g} s and is loaded {figures['loads_per_minute']:.3g} times a minute; "
            f"{figures['unchanged']:.0%} of the reloads brought what was there before. Raise its ttl",
            **figures,
        )
    if each.expired >= SOME and each.expired * 2 >= _alone(each) and _alone(each) * 2 > each.requests:
        return _info(
            f"lives {each.mean_ttl:.3g} s, which is mostly over before it is asked for again: {ratio:.0%} of the "
            f"requests are hits, {figures['expired']:.0%} of the misses found it expired. Raise its ttl",
            **figures,
        )
    return None


def _memory_too_small(cache: CacheStatistics) -> Recommendation | None:
    total = cache.total
    gain = total.returned / total.requests if total.requests else 0.0
    if total.evicted < MANY or total.returned < MANY or gain < TOUCHED:
        return None
    return Recommendation(
        severity=Severity.WARNING,
        code="memory-too-small",
        subject="memory",
        category="",
        message=f"memory is too small: {total.returned} of {total.evicted} entries that were thrown out were asked for "
        f"again soon, {gain:.0%} of all requests. Raise max_entries, or max_bytes where it is set",
        figures={
            "evicted": total.evicted,
            "returned": total.returned,
            "gain": gain,
            "capacity": cache.memory.capacity,
        },
    )


def _is_plain(each: TemplateStatistics) -> bool:
    """Whether callers wait for a load whenever it has expired."""
    return each.freshness is not None and each.freshness.eager is None and not each.freshness.stale_while_revalidate


def _alone(each: TemplateStatistics) -> int:
    """The misses of callers who did not join another one's load; at least 1."""
    return max(1, each.misses - each.waits)


def _is_crowded(each: TemplateStatistics) -> bool:
    return each.loads > 0 and each.waits >= max(MANY, CROWD * each.loads)


RULES: dict[str, Rule] = {
    "failing-loader": _failing,
    "undecodable": _undecodable,
    "never-hit": _never_hit,
    "too-big": _too_big,
    "stampede": _stampede,
    "eager-refresh": _eager,
    "ttl-too-short": _ttl,
}
"""The rules for a key template, by code."""
