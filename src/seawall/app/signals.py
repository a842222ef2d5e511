"""What parts report as metrics and log lines: the one place that knows the events of all of them."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from seawall.core import Event, Events, Status
from seawall.files import FolderSwept
from seawall.health import HealthChanged
from seawall.health.memory import measure
from seawall.profiling import LoopStalled
from seawall.resilience import AdaptiveLimit, CircuitBreaker
from seawall.resilience import events as calls
from seawall.telemetry import catalogue
from seawall.telemetry.metrics import Metrics
from seawall.web.events import ErrorAnswered

if TYPE_CHECKING:
    from seawall.cache import Cache
    from seawall.database import Database

_logger = logging.getLogger("seawall")
_jobs = logging.getLogger("seawall.jobs")
_STATES = {"closed": 0, "forced_closed": 0, "metrics_only": 0, "half_open": 1, "open": 2, "isolated": 3}
_STATUSES = {Status.HEALTHY: 0, Status.DEGRADED: 1, Status.UNHEALTHY: 2}
Count = Callable[[Any], None]
PATIENCE = 0.5
"""Seconds for a look at Redis before a scrape."""


class Signals:
    """Counts the events of every part in `metrics`, and mirrors what parts count themselves before each scrape.

    Changes of a breaker, a server or a check are worth a log line each; the rest is counted, not logged.
    """

    def __init__(self, metrics: Metrics, events: Events) -> None:
        self._metrics = metrics
        self._counts: dict[type[Event], Count | None] = {}
        self._known: dict[type[Event], Count] = {}
        for metric in catalogue.METRICS:
            metrics.declare(metric)
        self._count_calls()
        self._count_errors()
        self._count_files()
        events.subscribe(self._heard)
        metrics.before_scrape(self.look_at_machine)

    def _heard(self, event: Event) -> None:
        kind = type(event)
        if kind not in self._counts:
            self._counts[kind] = next((self._known[base] for base in kind.__mro__ if base in self._known), None)
        count = self._counts[kind]
        if count is not None:
            count(event)

    def _family(self, metric: Any) -> Any:
        return self._metrics.families[metric.name]

    def _count_calls(self) -> None:
        changes, rejected = self._family(catalogue.CIRCUIT_CHANGES), self._family(catalogue.CALLS_REJECTED)
        retried, given_up = self._family(catalogue.CALLS_RETRIED), self._family(catalogue.RETRIES_GIVEN_UP)
        timed_out, hedged = self._family(catalogue.CALLS_TIMED_OUT), self._family(catalogue.CALLS_HEDGED)
        fallen_back = self._family(catalogue.CALLS_FALLEN_BACK)

        def changed(event: calls.CircuitChanged) -> None:
            changes.labels(event.policy, event.new).inc()
            _logger.warning(
                "circuit breaker %s: %s -> %s (%s)", event.policy, event.old, event.new, event.reason,
                extra={"breaker": event.policy, "old": event.old, "new": event.new, "reason": event.reason},
            )  # fmt: skip

        self._known |= {
            calls.CircuitChanged: changed,
            calls.CallRejected: lambda event: rejected.labels(event.policy, event.reason).inc(),
            calls.CallRetried: lambda event: retried.labels(event.policy).inc(),
            calls.RetryGivenUp: lambda event: given_up.labels(event.policy, event.reason).inc(),
            calls.CallTimedOut: lambda event: timed_out.labels(event.policy, event.cut_by).inc(),
            calls.CallHedged: lambda event: hedged.labels(event.policy).inc(),
            calls.FallenBack: lambda event: fallen_back.labels(event.policy, event.alternative).inc(),
        }

    def _count_errors(self) -> None:
        errors, health = self._family(catalogue.ERRORS), self._family(catalogue.HEALTH)
        stalls = self._family(catalogue.LOOP_STALLS).labels()

        def changed(event: HealthChanged) -> None:
            health.labels(event.check).set(_STATUSES[event.new])
            if event.old is not None:
                level = logging.INFO if event.new is Status.HEALTHY else logging.WARNING
                _logger.log(
                    level, "health of %s: %s -> %s (%s)", event.check, event.old, event.new, event.message,
                    extra={"check": event.check, "old": event.old, "new": event.new},
                )  # fmt: skip

        def stalled(event: LoopStalled) -> None:
            stalls.inc(event.count)
            where = event.stack[-1] if event.stack else "unknown"
            _logger.warning(
                "the event loop stood still for %.2f s at %s", event.seconds, where,
                extra={"seconds": event.seconds, "cpu": event.cpu, "stack_of_stall": event.stack, "count": event.count},
            )  # fmt: skip

        self._known |= {
            LoopStalled: stalled,
            HealthChanged: changed,
            ErrorAnswered: lambda event: errors.labels(event.code, event.category, event.severity).inc(),
        }

    def _count_files(self) -> None:
        removed, freed = self._family(catalogue.FILES_REMOVED), self._family(catalogue.FILES_FREED)
        failed, kept = self._family(catalogue.FILES_FAILED), self._family(catalogue.FILES_KEPT)
        held = self._family(catalogue.FILES_HELD)

        def swept(event: FolderSwept) -> None:
            removed.labels(event.folder).inc(event.removed)
            freed.labels(event.folder).inc(event.freed)
            failed.labels(event.folder).inc(event.failed)
            kept.labels(event.folder).set(event.kept)
            held.labels(event.folder).set(event.held)
            if event.removed or event.failed:
                _logger.log(
                    logging.WARNING if event.failed else logging.INFO,
                    "folder %s swept: %d removed, %d bytes freed, %d kept, %d failed%s", event.folder, event.removed,
                    event.freed, event.kept, event.failed, "" if event.reason is None else f" ({event.reason})",
                    extra={"folder": event.folder, "seconds": event.seconds},
                )  # fmt: skip

        self._known[FolderSwept] = swept

    def count_jobs(self) -> None:
        """Jobs that are enqueued, and those that this process runs, with a line for each."""
        from seawall.jobs import JobEnded, JobEnqueued, JobStarted, JobState  # noqa: PLC0415 - only where there are any

        enqueued, ended = self._family(catalogue.JOBS_ENQUEUED), self._family(catalogue.JOBS)
        took, waited = self._family(catalogue.JOB_SECONDS), self._family(catalogue.JOB_WAITED)
        active = self._family(catalogue.JOBS_ACTIVE).labels()
        fine = {JobState.SUCCEEDED, JobState.IGNORED}

        def began(event: JobStarted) -> None:
            active.inc()
            if event.waited is not None:
                waited.labels(event.job).observe(event.waited)

        def done(event: JobEnded) -> None:
            active.dec()
            ended.labels(event.job, event.state.value).inc()
            took.labels(event.job).observe(event.seconds)
            milliseconds = round(event.seconds * 1000, 2)
            told: dict[str, Any] = {"state": event.state.value, "duration_ms": milliseconds, "attempt": event.attempt}
            if event.waited is not None:
                told["waited_ms"] = round(event.waited * 1000, 2)
            if event.error is not None:
                told["failed"] = type(event.error).__name__
            _jobs.log(
                logging.INFO if event.state in fine else logging.WARNING,
                "%s %s after %s ms", event.job, event.state, milliseconds,
                extra=told,
            )  # fmt: skip

        self._known |= {
            JobEnqueued: lambda event: enqueued.labels(event.job, str(event.delayed).lower()).inc(),
            JobStarted: began,
            JobEnded: done,
        }

    def look_at_machine(self) -> None:
        """Its memory and its disk."""
        memory = measure()
        if memory is not None:
            self._family(catalogue.SYSTEM_MEMORY).labels().set(1.0 - memory.available / memory.total)
        usage = shutil.disk_usage("/")
        if usage.total:
            self._family(catalogue.SYSTEM_DISK).labels("/").set(usage.free / usage.total)

    def mirror_calls(
        self, breakers: Callable[[], Mapping[str, CircuitBreaker]], limits: Callable[[], Mapping[str, AdaptiveLimit]]
    ) -> None:
        """The state of breakers, and what adaptive limits have found."""
        state, limit = self._family(catalogue.CIRCUIT_STATE), self._family(catalogue.CONCURRENCY_LIMIT)

        def refresh() -> None:
            for name, breaker in breakers().items():
                state.labels(name).set(_STATES.get(str(breaker.statistics().state), 0))
            for name, adaptive in limits().items():
                limit.labels(name).set(adaptive.statistics().limit)

        self._metrics.before_scrape(refresh)

    def mirror_cache(self, cache: Cache) -> None:
        """What the cache answered, and its loads."""
        from seawall.cache import CacheLoaded, CacheLoadFailed  # noqa: PLC0415 - the cache extra

        loads, failed = self._family(catalogue.CACHE_LOADS), self._family(catalogue.CACHE_LOADS_FAILED)
        requests, entries = self._family(catalogue.CACHE_REQUESTS), self._family(catalogue.CACHE_ENTRIES)
        tier_up = self._family(catalogue.CACHE_TIER_UP)
        self._known |= {
            CacheLoaded: lambda event: loads.labels(event.cache, event.category).observe(event.seconds),
            CacheLoadFailed: lambda event: failed.labels(event.cache, event.category, str(event.stale).lower()).inc(),
        }

        def refresh() -> None:
            statistics = cache.statistics(hot_keys=0)
            for category, counts in statistics.categories.items():
                for answer, total in (
                    ("memory", counts.hits), ("remote", counts.remote_hits), ("stale", counts.stale_hits),
                    ("miss", counts.misses),
                ):  # fmt: skip
                    requests.labels(cache.name, category, answer).mirror(total)
            entries.labels(cache.name).set(statistics.memory.entries)
            if statistics.tier is not None:
                tier_up.labels(cache.name, statistics.tier.name).set(statistics.tier.available)

        self._metrics.before_scrape(refresh)

    async def look_at_redis(self, cache: Cache) -> None:
        """What Redis uses of its memory, where it has a limit; nothing is told while it is away."""
        redis = getattr(cache.tier, "redis", None)
        if redis is None or not redis.connected:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                told = (await redis.execute("INFO", "memory")).decode()
        except Exception:  # noqa: BLE001 - a look that fails is none; that Redis is away, others tell
            return
        fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        limit = int(fields.get("maxmemory", "0"))
        if limit:
            used = int(fields.get("used_memory", "0")) / limit
            self._family(catalogue.REDIS_MEMORY).labels(redis.address).set(used)

    def mirror_database(self, database: Database) -> None:
        """The servers, what was run on them, and what was noticed about statements."""
        from seawall.database import (  # noqa: PLC0415 - the database extra
            NodeDown,
            NodeUp,
            PrimaryChanged,
            RepeatedStatement,
            SlowStatement,
            StatementRerun,
        )
        from seawall.database.statements import StatementClass  # noqa: PLC0415

        slow, repeated = self._family(catalogue.DATABASE_SLOW), self._family(catalogue.DATABASE_REPEATED).labels()
        rerun, promotions = self._family(catalogue.DATABASE_RERUN), self._family(catalogue.DATABASE_PROMOTIONS).labels()
        up, in_use = self._family(catalogue.DATABASE_UP), self._family(catalogue.DATABASE_CONNECTIONS)
        seconds, behind = self._family(catalogue.DATABASE_LAG_SECONDS), self._family(catalogue.DATABASE_LAG_BYTES)
        statements, primary = self._family(catalogue.DATABASE_STATEMENTS), self._family(catalogue.DATABASE_PRIMARY)

        took = {kind: self._family(catalogue.DATABASE_SECONDS).labels(kind.name.lower()) for kind in StatementClass}
        database.statistics.heard = lambda kind, spent: took[kind].observe(spent)

        def changed(event: PrimaryChanged) -> None:
            if event.former is not None:
                promotions.inc()
                _logger.warning("database %s: %s is the primary now, %s was", event.database, event.node, event.former)

        self._known |= {
            SlowStatement: lambda event: slow.labels(event.node).inc(),
            RepeatedStatement: lambda event: repeated.inc(),
            StatementRerun: lambda event: rerun.labels(event.onto).inc(),
            PrimaryChanged: changed,
            NodeUp: lambda event: _logger.info("database %s: %s is up as %s", event.database, event.node, event.role),
            NodeDown: lambda event: _logger.warning(
                "database %s: %s can't be used: %s", event.database, event.node, event.reason
            ),
        }

        def refresh() -> None:
            for name, count in database.statistics.nodes().items():
                statements.labels(name).mirror(count)
            for node in database.nodes():
                up.labels(node.name).set(node.usable)
                primary.labels(node.name).set(node.role == "primary")
                in_use.labels(node.name).set(node.in_use)
                if node.behind is not None:
                    behind.labels(node.name).set(node.behind)
                    seconds.labels(node.name).set((node.age or 0.0) if node.behind else 0.0)

        self._metrics.before_scrape(refresh)
