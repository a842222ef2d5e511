"""What is to be cached of an endpoint, and how: the decorator `http_cached`, and its options."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import string
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol, TypeVar
from uuid import UUID

from starlette.requests import Request

from seawall.core import Clock
from seawall.core.errors import OptionError
from seawall.core.options import number
from seawall.web.capture import running

F = TypeVar("F", bound=Callable[..., Any])
User = Callable[[Request], "str | Awaitable[str | None] | None"]

RULE = "__seawall_http_cache__"
STORABLE = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses that may be stored: those RFC 9110 §15.1 calls heuristically cacheable, without 206."""


class ResponseCache(Protocol):
    """What is asked of a cache: `seawall.cache.Cache` has it."""

    @property
    def clock(self) -> Clock:
        """By which responses age."""
        ...

    def options(self, category: str) -> Any:
        """The frozen options of a category, with `ttl` and `stale_while_revalidate`."""
        ...

    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        """The fresh value of `key`."""
        ...

    async def get_or_set(
        self,
        key: str,
        loader: Callable[..., Any],
        *,
        tags: Sequence[str] = (),
        category: str = "default",
        freshness: Any = None,
        type: Any = None,  # noqa: A002
    ) -> Any:
        """The value of `key`; loaded by `loader`, once for all who ask meanwhile."""
        ...

    async def delete(self, *keys: str) -> None:
        """Forget `keys`."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """How the responses of one endpoint are cached: the options of `http_cached`, validated."""

    cache: ResponseCache | None
    ttl: float
    freshness: Any
    category: str
    tags: tuple[str, ...]
    public: str
    private: str
    vary: tuple[str, ...]
    query: frozenset[str] | None
    ignore_query: frozenset[str]
    vary_on_user: User | None
    shared_when_authorized: bool
    ignore_no_cache: bool
    statuses: frozenset[int]
    max_bytes: int
    weak_etag: bool | None


def http_cached(
    cache: ResponseCache | None = None,
    *,
    ttl: float | None = None,
    tags: Sequence[str] = (),
    category: str = "default",
    max_age: int = 0,
    s_maxage: int | None = None,
    stale_while_revalidate: float | None = None,
    vary: Iterable[str] = (),
    query: Iterable[str] | None = None,
    ignore_query: Iterable[str] = (),
    vary_on_user: User | None = None,
    shared_when_authorized: bool = False,
    ignore_no_cache: bool = False,
    statuses: Collection[int] = (200, 203, 204, 301, 308),
    max_bytes: int = 500_000,
    weak_etag: bool | None = None,
) -> Callable[[F], F]:
    """Cache an endpoint's responses to GET and HEAD. Put it beneath the route's decorator.

    cache: where they are stored; without one there are entity tags and 304s only, and the endpoint runs each time.
    ttl, stale_while_revalidate: seconds, in place of the category's, which has the other options (`fail_safe` gives a
    stale response while the endpoint fails with an exception or a 5xx). tags: what voids a stored response, with the
    endpoint's parameters as it got them: `"tenant:{tenant_id}"`, `"user:{user.id}"`.
    max_age, s_maxage: seconds that clients, and the caches of others, need not ask again; those hear of no
    invalidation, so by default they ask each time and get a 304. A Cache-Control of the endpoint's own goes before.
    vary: request headers the response depends on. Those the endpoint declares (`Header()`), and those its responses
    name in Vary, are found. query: the query parameters it depends on, by default all; ignore_query: all but these.
    vary_on_user: who asks, **as verified**, such as `lambda request: request.scope["user"].id`: each gets responses
    of his own; None for nobody. shared_when_authorized: give all the same response, whoever asks.
    ignore_no_cache: clients can't have the endpoint run. statuses: which responses are stored. max_bytes: and up to
    which size. weak_etag: whether a later middleware may compress; by default the application's are looked at.

    Without `vary_on_user` and `shared_when_authorized`, a request with Authorization, a Cookie or an API key header of
    FastAPI's is never given what is stored, and what it is given is never stored. Nor are responses that set cookies,
    say `private` or `no-store`, stream, or vary on everything; nor is a request with a Range looked at.
    One run of the endpoint serves all who ask meanwhile. **A stored response is given without the endpoint's
    dependencies being run.**
    """
    number("http_cached", "max_bytes", max_bytes, at_least=1, integer=True)
    if not STORABLE.issuperset(statuses):
        raise OptionError("http_cached", "statuses", statuses, f"among {sorted(STORABLE)}")
    if isinstance(tags, str) or (query is not None and isinstance(query, str)) or isinstance(vary, str):
        raise OptionError("http_cached", "tags, query or vary", tags or query or vary, "a list of strings")
    freshness = _freshness(cache, category, ttl, stale_while_revalidate)
    public = _public(max_age, s_maxage, stale_while_revalidate)
    rule = Rule(
        cache=cache,
        ttl=0.0 if freshness is None else freshness.ttl,
        freshness=freshness,
        category=category,
        tags=tuple(tags),
        public=public,
        private=f"private, {f'max-age={max_age}' if max_age else 'no-cache'}",
        vary=tuple(name.lower() for name in vary),
        query=None if query is None else frozenset(query),
        ignore_query=frozenset(ignore_query),
        vary_on_user=vary_on_user,
        shared_when_authorized=shared_when_authorized,
        ignore_no_cache=ignore_no_cache,
        statuses=frozenset(statuses),
        max_bytes=max_bytes,
        weak_etag=weak_etag,
    )

    def mark(endpoint: F) -> F:
        return _marked(endpoint, rule)

    return mark


def _public(max_age: int, s_maxage: int | None, stale_while_revalidate: float | None) -> str:
    """The Cache-Control of a response that is for all."""
    number("http_cached", "max_age", max_age, at_least=0, integer=True)
    directives = ["public", f"max-age={max_age}" if max_age or s_maxage else "no-cache"]
    if s_maxage is not None:
        number("http_cached", "s_maxage", s_maxage, at_least=0, integer=True)
        directives.append(f"s-maxage={s_maxage}")
    if stale_while_revalidate and (max_age or s_maxage):
        directives.append(f"stale-while-revalidate={stale_while_revalidate:.0f}")
    return ", ".join(directives)


def _freshness(
    cache: ResponseCache | None, category: str, ttl: float | None, stale_while_revalidate: float | None
) -> Any:
    """The category's options, with those given in their place."""
    # A caller who left with a stale response would leave a run behind that uses his request.
    changed: dict[str, Any] = {"soft_timeout": None}
    if ttl is not None:
        number("http_cached", "ttl", ttl, above=0)
        changed["ttl"] = ttl
    if stale_while_revalidate is not None:
        number("http_cached", "stale_while_revalidate", stale_while_revalidate, at_least=0)
        changed["stale_while_revalidate"] = stale_while_revalidate
    return None if cache is None else dataclasses.replace(cache.options(category), **changed)


def _marked(endpoint: F, rule: Rule) -> F:
    """`endpoint` with its rule, for `install_http_cache` to find."""
    names = set[str]().union(*map(_names, rule.tags))
    if inspect.isgeneratorfunction(endpoint) or inspect.isasyncgenfunction(endpoint):
        message = f"{endpoint.__qualname__} streams; http_cached keeps whole responses"
        raise TypeError(message)
    unknown = names.difference(inspect.signature(endpoint).parameters)
    if unknown:
        allowed = f"the parameters of {endpoint.__qualname__}"
        raise OptionError("http_cached", "tags", ", ".join(sorted(unknown)), allowed)
    marked = _noting(endpoint) if names else endpoint
    setattr(marked, RULE, rule)
    return marked


def tags_of(rule: Rule, arguments: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The tags of a response that the endpoint made of `arguments`; None where it was not reached, so nobody knows."""
    if not arguments and any(_names(tag) for tag in rule.tags):
        return None
    return tuple(_PLAIN_VALUES.vformat(tag, (), arguments) for tag in rule.tags)


def _names(template: str) -> set[str]:
    """The parameters that `template` takes values from."""
    fields = (field for _, field, _, _ in string.Formatter().parse(template) if field is not None)
    return {re.split(r"[.\[]", field)[0] for field in fields}


def _noting(endpoint: Any) -> Any:
    """`endpoint`, which tells the run under way what it was called with: validated, so that equal is equal."""
    signature = inspect.signature(endpoint)

    def note(args: Any, kwargs: Any) -> None:
        run = running.get()
        if run is None:
            return
        if not args:  # as FastAPI calls, with everything
            run.arguments = kwargs
        else:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            run.arguments = bound.arguments

    if inspect.iscoroutinefunction(endpoint):

        @functools.wraps(endpoint)
        async def noted(*args: Any, **kwargs: Any) -> Any:
            note(args, kwargs)
            return await endpoint(*args, **kwargs)

        return noted

    @functools.wraps(endpoint)
    def noted_blocking(*args: Any, **kwargs: Any) -> Any:
        note(args, kwargs)
        return endpoint(*args, **kwargs)

    return noted_blocking


class _PlainValues(string.Formatter):
    """Puts plain values into tags, and nothing whose text is another one in the next process."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Enum):
            value = value.value
        if not isinstance(value, (str, int, float, UUID, date, Decimal)):
            message = f"a tag can't hold a {type(value).__name__}; name what identifies it, such as {{user.id}}"
            raise TypeError(message)
        return format(value, format_spec)


_PLAIN_VALUES = _PlainValues()
