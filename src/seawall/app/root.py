"""One service's production layer."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary

from seawall.app.attempts import Attempts
from seawall.app.draining import delayed_end
from seawall.app.jobs import JobSurroundings
from seawall.app.signals import Signals
from seawall.app.telemetry import Telemetry
from seawall.app.tracing import Tracing
from seawall.core import SYSTEM_CLOCK, Clock, Events, Lifecycle, MissingExtraError, OptionError, Part, correlation
from seawall.files import InUse, Retention
from seawall.health import Check, HealthChecks, Report, disk_space, memory_space
from seawall.profiling import Profiler
from seawall.resilience import AdaptiveLimit, CircuitBreaker, Pipeline, Policy
from seawall.settings import Settings
from seawall.telemetry.logs import Logs
from seawall.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from seawall.cache import Cache, Freshness, SessionStore, Warmer
    from seawall.database import Database
    from seawall.jobs.celery import Celery, CeleryJobs

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
    logs: where access lines go; `from_env` makes them for all of the process. tracer_provider: of
    OpenTelemetry's SDK, to which spans go in place of one of our own.
    """

    def __init__(
        self,
        *,
        service: str,
        settings: Settings | None = None,
        categories: Mapping[str, Freshness] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        logs: Logs | None = None,
        tracer_provider: Any = None,
    ) -> None:
        self.categories = dict(categories or {})
        self.service = service
        self.settings = settings or Settings()
        self.clock = clock
        self.events = Events()
        self.metrics = Metrics()
        """What is counted; declare the service's own here."""
        self.health = HealthChecks(clock=clock, events=self.events)
        """The checks; each part brings its own, add others."""
        self.tracing = Tracing(service, self.settings, self.events, provider=tracer_provider, clock=clock)
        """Who is told of traces and errors."""
        self._telemetry = Telemetry(service, self.settings, self.metrics, logs, self.tracing)
        self._pipelines: dict[str, Pipeline] = {}
        self._lifecycle = Lifecycle()
        self._own_breakers: dict[str, CircuitBreaker] = {}
        self._started = self._ready = False
        self._installed: WeakKeyDictionary[Any, weakref.ref[Any]] = WeakKeyDictionary()
        self._signals = Signals(self.metrics, self.events)
        self._signals.mirror_calls(lambda: self.breakers, self._limits)
        self.profiler = Profiler(clock=clock, events=self.events)
        """Measures functions and routes, stalls of the event loop, and profiles on demand."""
        if self.settings.enable_profiling:
            self.add(self.profiler, critical=False)
        else:
            self.profiler.stop()
        self.health.add(Check("disk", disk_space("/"), critical=False, ttl=10.0))
        self.health.add(Check("memory", memory_space(), critical=False, ttl=5.0))

    @classmethod
    def from_env(cls, *, service: str, categories: Mapping[str, Freshness] | None = None) -> Seawall:
        """Made from the environment, with logs as it says. Raises `SettingsError` naming every wrong variable."""
        settings = Settings.from_env(file=Path(".env"))
        logs = Logs(
            level=settings.log_level,
            loggers=settings.log_levels,
            json_format=settings.log_json_format,
            file=settings.log_file,
        )
        return cls(service=service, settings=settings, categories=categories, logs=logs)

    def pipeline(self, name: str, *policies: Policy | Callable[..., Any]) -> Pipeline:
        """A pipeline that reports into `events`, is listed by the admin API, and is off when the settings say so."""
        if name in self._pipelines:
            message = f"there is a pipeline {name!r} already; names are unique in a service"
            raise ValueError(message)
        pipeline = Pipeline(
            name,
            *policies,
            innermost=Attempts() if self.tracing.records else None,
            enabled=self.settings.resilience,
            clock=self.clock,
            events=self.events,
        )
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
        """The circuit breakers by name: in all pipelines, and those before the cache's server and Celery's broker."""
        return self._own_breakers | {
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
                    breaker = self._breaker("cache", failures=3, open_for=0.5)
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
        self.add(cache, critical=False)
        self._signals.mirror_cache(cache)
        self.tracing.hear_cache()
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
            replicas=settings.replica_urls,
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_max_overflow,
            pool_timeout=settings.database_pool_timeout,
            pool_recycle=settings.database_pool_recycle,
            key=settings.secret_key,
            label=_request_id if settings.database_show_requests else None,
            clock=self.clock,
            events=self.events,
        )
        self.add(database)
        self._signals.mirror_database(database)
        self.tracing.hear_database()
        if "cache" in self.__dict__:
            self.cache.shared.consistency = database
        return database

    @cached_property
    def warmer(self) -> Warmer:
        """Warms the cache: in the background after the service's start, and by `POST /admin/cache/warm`."""
        from seawall.cache import Warmer  # noqa: PLC0415 - the cache extra

        warmer = Warmer(self.cache)
        self.add(warmer, critical=False)
        return warmer

    @cached_property
    def sessions(self) -> SessionStore[dict[str, Any]]:
        """The service's sessions, kept in its cache; they end `SESSION_EXPIRY_HOURS` after they were created."""
        from seawall.cache import SessionStore  # noqa: PLC0415 - the cache extra

        expiry = self.settings.session_expiry_hours * 3600
        return SessionStore(self.cache, idle=expiry, absolute=expiry)

    @cached_property
    def celery(self) -> Celery:
        """A Celery app with the broker and the result backend of the settings. Made when first asked for.

        Raises `OptionError` where they have neither `CELERY_BROKER_URL` nor `REDIS_URL`.
        """
        from seawall.jobs.celery import BrokerUnavailableError, application  # noqa: PLC0415 - the celery extra

        settings = self.settings
        broker = settings.celery_broker_url or settings.redis_url
        guard: Any = nullcontext
        if settings.resilience:
            guard = self._breaker("celery", failures=3, open_for=5.0, on=BrokerUnavailableError).guard
        app = application(self.service, broker=broker, backend=settings.celery_result_backend, guard=guard)
        self.install_celery(app)
        return app

    def _breaker(self, name: str, **options: Any) -> CircuitBreaker:
        """A breaker of our own: it opens after so many failures in a row."""
        if name in self.breakers:
            message = f"a pipeline has a circuit breaker {name!r}, which is the name of the layer's own; name it anew"
            raise ValueError(message)
        made = CircuitBreaker.consecutive(name, clock=self.clock, events=self.events, **options)
        self._own_breakers[name] = made
        return made

    def install_celery(self, app: Celery) -> CeleryJobs:
        """Make the tasks of a Celery app the service's jobs: with its ids, logs, metrics, traces and health.

        Do so where the app is made, before a worker starts. Raises `OptionError` for a second one.
        """
        if any(check.name == "celery" for check in self.health.checks):
            raise OptionError("Seawall.install_celery", "app", app, "one Celery app of a service; it has another")
        from seawall.jobs.celery import CeleryJobs  # noqa: PLC0415 - the celery extra

        surroundings = JobSurroundings(
            self._telemetry, self.tracing, self.settings.worker_metrics_port, self._signals.look_at_machine
        )
        jobs = CeleryJobs(
            app, surroundings=surroundings, own_logs=self._telemetry.logs is not None, clock=self.clock,
            events=self.events,
        )  # fmt: skip
        self._signals.count_jobs()
        self.tracing.hear_jobs()
        self.health.add(Check("celery", jobs.check, critical=False, timeout=3.0, ttl=10.0))
        return jobs

    def retain(
        self, folder: str | Path, *, max_age: float | None = None, in_use: InUse | None = None, name: str | None = None
    ) -> Retention:
        """Have `folder` swept of what is too old while the service runs; ask for it before the service starts.

        max_age: seconds; by default `MAX_FILE_AGE_HOURS`. in_use: whether an entry is needed, see `Retention`.
        """
        retention = Retention(
            folder,
            max_age=self.settings.max_file_age_hours * 3600 if max_age is None else max_age,
            interval=self.settings.cleanup_interval_seconds,
            in_use=in_use,
            name=name,
            clock=self.clock,
            events=self.events,
        )
        self.add(retention, critical=False)
        return retention

    def add(self, part: Part, *, critical: bool = True) -> None:
        """Have `part` started with the service, after those added before, stopped in reverse, and its health checked.

        critical: whether the service can't work without it; if not, it is degraded at worst.
        """
        self._lifecycle.add(part)
        self.health.add(Check.of(part, critical=critical))

    async def check(self) -> Report:
        """The health of every part."""
        return await self.health.run()

    def install(self, app: App) -> App:
        """Put the layer on an app, and return it; doing it twice changes nothing.

        Adds the middleware, problem responses, `/health`, `/metrics` and `/admin`, and starts and stops the parts
        around the app's own lifespan. A FastAPI or Starlette app is changed; around any other that speaks ASGI another
        app is put, and returned.
        """
        if app in self._installed:
            return cast("App", self._installed[app]())
        try:
            from seawall.web.any_asgi import around  # noqa: PLC0415 - the web extra is optional
            from seawall.web.install import install  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtraError("Seawall.install", error.name or "starlette", "web") from error
        layered: Any = app if hasattr(app, "add_exception_handler") else around(app)
        # Whoever has the layered app has the one inside, so neither keeps the other from being freed.
        self._installed[app] = self._installed[layered] = weakref.ref(layered)
        install(layered, self._web())
        return cast("App", layered)

    def _web(self) -> Any:
        from seawall.web.install import PROBES, WebParts  # noqa: PLC0415 - the web extra is optional

        telemetry, settings = self._telemetry, self.settings
        telemetry.look_at_requests(PROBES, self.profiler)
        return WebParts(
            service=self.service,
            admin_token=settings.admin_token,
            development=settings.development,
            layer=telemetry.layer(self.events, self._admission, self.clock),
            ring=telemetry.ring,
            levels=telemetry.levels,
            expose=telemetry.expose if settings.enable_metrics else None,
            before_scrape=self._look,
            pipelines=self._pipelines,
            breakers=lambda: self.breakers,
            cache=(self.cache, self.warmer) if "cache" in self.__dict__ else None,
            database=self.database if "database" in self.__dict__ else None,
            health=self.health,
            profiler=self.profiler if settings.enable_profiling else None,
            started=lambda: self._started,
            ready=lambda: self._ready,
            settings=settings.shown,
            errors=_errors,
            running=self._running,
        )

    async def _look(self) -> None:
        """What metrics tell that has to be asked for."""
        await self.check()
        if "cache" in self.__dict__:
            await self._signals.look_at_redis(self.cache)

    @cached_property
    def _admission(self) -> AdaptiveLimit | None:
        if not self.settings.load_shedding:
            return None
        return AdaptiveLimit(name="requests", clock=self.clock, events=self.events)

    def _limits(self) -> dict[str, AdaptiveLimit]:
        policies = [policy for pipeline in self._pipelines.values() for policy in pipeline.policies]
        return {policy.name: policy for policy in [*policies, self._admission] if isinstance(policy, AdaptiveLimit)}

    @asynccontextmanager
    async def _running(self, inner: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
        """The parts, and in them the app's own lifespan; ready while both are up."""
        with self._telemetry:
            async with self._lifecycle, inner as state:
                self._started = self._ready = True
                _logger.info("%s is ready", self.service)
                try:
                    with delayed_end(self.settings.drain_delay, self._drain):
                        yield state
                finally:
                    self._ready = False

    def _drain(self) -> None:
        self._ready = False
        _logger.info("%s drains: readiness fails from now on", self.service)


def _errors() -> dict[str, type[Exception]]:
    """Those that services raise, by their codes."""
    from seawall import errors  # noqa: PLC0415 - in development only

    kinds = (getattr(errors, name) for name in errors.__all__)
    return {kind.code: kind for kind in kinds if isinstance(kind, type) and issubclass(kind, errors.ServiceError)}


def _request_id() -> str | None:
    work = correlation.current.get()
    return None if work is None else work.request_id
