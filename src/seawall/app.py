"""The composition root: makes the parts from settings, knows them all, and installs them on an app."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from seawall.core import SYSTEM_CLOCK, Clock, Event, Events, Health, Lifecycle, MissingExtraError, Part
from seawall.resilience import CircuitBreaker, CircuitChanged, Pipeline, Policy
from seawall.settings import Settings
from seawall.telemetry import logs

if TYPE_CHECKING:
    from seawall.cache import Cache, Freshness, Warmer
    from seawall.database import Database

_logger = logging.getLogger("seawall")
App = TypeVar("App", bound=Any)


class Seawall:
    """One service's production layer.

        sea = Seawall.from_env(service="podcasts")
        openai = sea.pipeline("openai", Timeout(20.0), Retry(on=ConnectionError), CircuitBreaker())
        app = sea.install(FastAPI())

    service: its name, in logs and health. settings: see `Settings`; read from the environment by `from_env`.
    categories: the cache's options by name; `CACHE_TTL_<CATEGORY>` in the environment overrules their ttl.
    events: the one stream into which every part reports; subscribe to it for what you want to see.
    """

    def __init__(
        self,
        *,
        service: str,
        settings: Settings | None = None,
        categories: Mapping[str, Freshness] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.categories = dict(categories or {})
        self.service = service
        self.settings = settings or Settings()
        self.clock = clock
        self.events = Events()
        self._pipelines: dict[str, Pipeline] = {}
        self._lifecycle = Lifecycle()
        self._cache_breaker: CircuitBreaker | None = None
        self._ready = False
        self._installed: WeakSet[Any] = WeakSet()
        self.events.subscribe(_log_event, to=Event)

    @classmethod
    def from_env(cls, *, service: str, categories: Mapping[str, Freshness] | None = None) -> Seawall:
        """Made from the environment, with logs as it says. Raises `SettingsError` naming every wrong variable."""
        settings = Settings.from_env()
        logs.configure(level=settings.log_level, json_format=settings.log_json_format)
        return cls(service=service, settings=settings, categories=categories)

    def pipeline(self, name: str, *policies: Policy | Callable[..., Any]) -> Pipeline:
        """A pipeline that reports into `events`, is listed by the admin API, and is off when the settings say so."""
        if name in self._pipelines:
            message = f"there is a pipeline {name!r} already; names are unique in a service"
            raise ValueError(message)
        pipeline = Pipeline(name, *policies, enabled=self.settings.resilience, clock=self.clock, events=self.events)
        known = self.breakers
        for policy in pipeline.policies:
            if isinstance(policy, CircuitBreaker) and known.get(policy.name, policy) is not policy:
                message = f"there is another circuit breaker {policy.name!r} already; share that one, or name this anew"
                raise ValueError(message)
        self._pipelines[name] = pipeline
        return pipeline

    @property
    def pipelines(self) -> Mapping[str, Pipeline]:
        """The pipelines by name, in the order they were made."""
        return dict(self._pipelines)

    @property
    def breakers(self) -> dict[str, CircuitBreaker]:
        """The circuit breakers by name: in all pipelines, and the cache's."""
        others = {} if self._cache_breaker is None else {self._cache_breaker.name: self._cache_breaker}
        return others | {
            policy.name: policy
            for pipeline in self._pipelines.values()
            for policy in pipeline.policies
            if isinstance(policy, CircuitBreaker)
        }

    @cached_property
    def cache(self) -> Cache:
        """The service's cache: in memory, and in Redis where the settings have a URL. Made when first asked for.

        A circuit breaker `cache` stands between the cache and Redis. Ask for it before the service starts.
        """
        try:
            from seawall.cache import Cache, Freshness, MemoryTier, RedisTier  # noqa: PLC0415 - the cache extra

            settings = self.settings
            tiers: list[Any] = [MemoryTier(max_entries=settings.cache_max_entries)]
            breaker = None
            if settings.redis_url is not None:
                tiers.append(RedisTier(settings.redis_url, namespace=settings.cache_namespace or self.service))
                if settings.resilience:
                    breaker = CircuitBreaker.consecutive(
                        "cache", failures=3, open_for=0.5, clock=self.clock, events=self.events
                    )
            default = Freshness(ttl=settings.cache_ttl)
            categories = {"default": default} | self.categories
            for category, ttl in settings.cache_ttls.items():
                categories[category] = dataclasses.replace(categories.get(category, default), ttl=ttl)
            cache = Cache(*tiers, categories=categories, breaker=breaker, clock=self.clock, events=self.events)
            if "database" in self.__dict__:
                cache.shared.consistency = self.database
        except ImportError as error:
            if isinstance(error, MissingExtraError):
                raise
            raise MissingExtraError("Seawall.cache", error.name or "msgspec", "redis") from error
        self._cache_breaker = breaker
        self._lifecycle.add(cache)
        return cache

    @cached_property
    def database(self) -> Database:
        """The service's database: an SQLite file, or the PostgreSQL servers of the settings. Made when first asked for.

        Ask for it before the service starts.
        """
        try:
            from seawall.database import Database  # noqa: PLC0415 - the database extra
        except ImportError as error:
            raise MissingExtraError("Seawall.database", error.name or "sqlalchemy", "database") from error
        settings = self.settings
        database = Database(
            settings.database_url or f"sqlite:///{self.service}.db",
            replicas=settings.database_replica_urls,
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_max_overflow,
            pool_timeout=settings.database_pool_timeout,
            pool_recycle=settings.database_pool_recycle,
            key=settings.secret_key,
            label=logs.request_id.get if settings.database_show_requests else None,
            clock=self.clock,
            events=self.events,
        )
        self._lifecycle.add(database)
        if "cache" in self.__dict__:
            self.cache.shared.consistency = database
        return database

    @cached_property
    def warmer(self) -> Warmer:
        """Warms the cache: in the background after the service's start, and by `POST /admin/cache/warm`."""
        from seawall.cache import Warmer  # noqa: PLC0415 - the cache extra

        warmer = Warmer(self.cache)
        self._lifecycle.add(warmer)
        return warmer

    def add(self, part: Part) -> None:
        """Have `part` started with the service, after those added before, and stopped in reverse."""
        self._lifecycle.add(part)

    async def check(self) -> Mapping[str, Health]:
        """The health of every part."""
        return await self._lifecycle.check()

    def install(self, app: App) -> App:
        """Put the layer on a FastAPI or Starlette app, and return it; doing it twice changes nothing.

        Adds the middleware, problem responses, `/health`, `/health/ready` and `/admin`, and starts and stops the
        parts around the app's own lifespan.
        """
        if app in self._installed:
            return app
        self._installed.add(app)
        try:
            from seawall.web.install import install  # noqa: PLC0415 - the web extra is optional
        except ImportError as error:
            raise MissingExtraError("Seawall.install", error.name or "starlette", "web") from error
        install(app, self._web())
        return app

    def _web(self) -> Any:
        from seawall.web.install import WebParts  # noqa: PLC0415 - the web extra is optional

        return WebParts(
            service=self.service,
            admin_token=self.settings.admin_token,
            request_timeout=self.settings.request_timeout,
            request_id=logs.request_id,
            pipelines=self._pipelines,
            breakers=lambda: self.breakers,
            cache=(self.cache, self.warmer) if "cache" in self.__dict__ else None,
            database=self.database if "database" in self.__dict__ else None,
            checks=self.check,
            ready=lambda: self._ready,
            running=self._running,
            clock=self.clock,
        )

    @asynccontextmanager
    async def _running(self, inner: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
        """The parts, and in them the app's own lifespan; ready while both are up."""
        async with self._lifecycle, inner as state:
            self._ready = True
            _logger.info("%s is ready", self.service)
            try:
                yield state
            finally:
                self._ready = False


def _log_event(event: Event) -> None:
    """Changes of a breaker are worth a line each; the rest is counted, not logged."""
    if isinstance(event, CircuitChanged):
        _logger.warning(
            "circuit breaker %s: %s -> %s (%s)",
            event.policy,
            event.old,
            event.new,
            event.reason,
            extra={"breaker": event.policy, "old": event.old, "new": event.new, "reason": event.reason},
        )
