"""The environment is read here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seawall.core import SeawallError
from seawall.core.errors import Severity
from seawall.settings import values


class SettingsError(SeawallError, ValueError):
    """One or more environment variables have values that cannot work; all are named at once."""

    code = "settings"
    category = "configuration"
    severity = Severity.HIGH
    retryable = False

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems)


def _variable(variable: str, read: Callable[[str], Any], default: Any, about: str, *, secret: bool = False) -> Any:
    metadata = {"variable": variable, "read": read, "secret": secret, "about": about}
    if isinstance(default, dict):
        return field(default_factory=dict, repr=not secret, metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. Secrets are not in its `repr`; `docs/reference/operations.md` lists all of it."""

    environment: str = _variable(
        "ENVIRONMENT",
        values.environment,
        "production",
        "where it runs; in `development` problem bodies tell what happened inside, and `/health/detailed` is open",
    )
    admin_token: str | None = _variable(
        "SEAWALL_ADMIN_TOKEN",
        values.secret,
        None,
        "who sends it may use `/admin` and `/health/detailed`; without one nobody may; at least 16 characters",
        secret=True,
    )
    secret_key: str | None = _variable(
        "SEAWALL_SECRET_KEY",
        values.secret,
        None,
        "what our cookies are signed with, the same in every process; made at start; at least 16 characters",
        secret=True,
    )
    resilience: bool = _variable("SEAWALL_RESILIENCE", values.switch, True, "`off` leaves every call as it is")
    request_timeout: float = _variable(
        "SEAWALL_REQUEST_TIMEOUT",
        values.seconds,
        60.0,
        "seconds a request may take; its caller may ask for less by `Request-Timeout`",
    )
    body_limit: int = _variable(
        "SEAWALL_BODY_LIMIT", values.count, 10_000_000, "bytes a request's body may have; `0` for any number"
    )
    load_shedding: bool = _variable(
        "SEAWALL_LOAD_SHEDDING",
        values.switch,
        False,
        "`on` refuses requests by a 503 when more are under way than the service can take, which it finds out",
    )
    trusted_proxies: tuple[str, ...] = _variable(
        "SEAWALL_TRUSTED_PROXIES",
        values.proxies,
        (),
        "addresses and networks whose `X-Forwarded-For` is believed, separated by commas",
    )
    drain_delay: float = _variable(
        "SEAWALL_DRAIN_DELAY",
        values.seconds_or_none,
        0.0,
        "seconds for which readiness fails while requests are still served, after SIGTERM",
    )
    recent_requests: int = _variable(
        "SEAWALL_RECENT_REQUESTS", values.count, 500, "how many requests `/admin/requests` can show"
    )
    metrics_folder: Path | None = _variable(
        "SEAWALL_METRICS_FOLDER",
        Path,
        None,
        "where worker processes share their metrics; uvicorn's `--workers` find one by themselves",
    )
    worker_metrics_port: int | None = _variable(
        "SEAWALL_WORKER_METRICS_PORT",
        values.port,
        None,
        "where a worker that runs jobs serves `/metrics` of all its processes; without one nowhere",
    )
    redis_url: str | None = _variable(
        "REDIS_URL",
        values.redis_url,
        None,
        "the cache's shared tier, `redis://`, `rediss://` or `unix://`; without one the cache is in memory",
        secret=True,
    )
    cache_ttl: float = _variable(
        "CACHE_TTL", values.seconds, 300.0, "seconds an entry is fresh where its category says nothing else"
    )
    cache_ttls: Mapping[str, float] = field(default_factory=dict)
    cache_max_entries: int = _variable("CACHE_MAX_ENTRIES", values.count, 10_000, "how many entries memory holds")
    cache_namespace: str | None = _variable(
        "CACHE_NAMESPACE", str, None, "what the keys in Redis begin with; the service's name"
    )
    session_expiry_hours: float = _variable(
        "SESSION_EXPIRY_HOURS", values.hours, 24.0, "hours after which a session of `Seawall.sessions` ends"
    )
    celery_broker_url: str | None = _variable(
        "CELERY_BROKER_URL",
        values.service_url,
        None,
        "where `Seawall.celery` hands in jobs; that of `REDIS_URL`",
        secret=True,
    )
    celery_result_backend: str | None = _variable(
        "CELERY_RESULT_BACKEND",
        values.service_url,
        None,
        "where it keeps their results; without one nowhere",
        secret=True,
    )
    cleanup_interval_seconds: float = _variable(
        "CLEANUP_INTERVAL_SECONDS", values.seconds, 3600.0, "seconds between the sweeps of folders that `retain` keeps"
    )
    max_file_age_hours: float = _variable(
        "MAX_FILE_AGE_HOURS", values.hours, 48.0, "hours after which what nobody has changed in them is removed"
    )
    database_url: str | None = _variable(
        "DATABASE_URL",
        values.database_url,
        None,
        "the database, `postgresql://` or `sqlite://`; a file of SQLite named after the service",
        secret=True,
    )
    database_replica_urls: tuple[str, ...] = _variable(
        "DATABASE_REPLICA_URLS", values.database_urls, (), "its replicas, separated by commas", secret=True
    )
    postgres_read_replica_host: str | None = _variable(
        "POSTGRES_READ_REPLICA_HOST", values.host, None, "one replica; the rest of its URL is that of `DATABASE_URL`"
    )
    postgres_read_replica_port: int | None = _variable(
        "POSTGRES_READ_REPLICA_PORT", values.port, None, "its port; that of `DATABASE_URL`"
    )
    database_pool_size: int = _variable("DATABASE_POOL_SIZE", values.count, 10, "connections kept to each server")
    database_max_overflow: int = _variable(
        "DATABASE_MAX_OVERFLOW", values.count, 20, "more of them while they are needed"
    )
    database_pool_timeout: float = _variable(
        "DATABASE_POOL_TIMEOUT", values.seconds, 30.0, "seconds to wait for one, before a 503"
    )
    database_pool_recycle: float = _variable(
        "DATABASE_POOL_RECYCLE", values.seconds, 3600.0, "seconds after which one is replaced"
    )
    database_show_requests: bool = _variable(
        "DATABASE_SHOW_REQUESTS",
        values.switch,
        False,
        "`on` has PostgreSQL show the request's id as `application_name`",
    )
    log_level: str = _variable("LOG_LEVEL", values.level, "INFO", "`DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`")
    log_levels: Mapping[str, str] = _variable(
        "LOG_LEVELS", values.levels, {}, "of single loggers: `seawall.database=DEBUG,httpx2=WARNING`"
    )
    log_json_format: bool = _variable("LOG_JSON_FORMAT", values.switch, True, "`off` for readable lines")
    log_file: Path | None = _variable(
        "LOG_FILE", Path, None, "written to in place of standard error; 10 MB, then five older ones are kept"
    )
    sentry_dsn: str | None = _variable(
        "SENTRY_DSN", values.dsn, None, "where errors are reported; nothing is sent without it", secret=True
    )
    sentry_environment: str | None = _variable(
        "SENTRY_ENVIRONMENT", values.environment, None, "the environment it is told; that of `ENVIRONMENT`"
    )
    sentry_release: str | None = _variable("SENTRY_RELEASE", str, None, "the release it is told")
    sentry_traces_sample_rate: float = _variable(
        "SENTRY_TRACES_SAMPLE_RATE", values.ratio, 0.0, "share of requests whose traces it is sent"
    )
    enable_metrics: bool = _variable("ENABLE_METRICS", values.switch, True, "`off`: no `/metrics`")
    enable_tracing: bool = _variable("ENABLE_TRACING", values.switch, True, "`off`: no trace is recorded")
    enable_profiling: bool = _variable("ENABLE_PROFILING", values.switch, True, "`off`: nothing is profiled")
    trace_sample_rate: float = _variable(
        "TRACE_SAMPLE_RATE", values.ratio, 0.1, "share of requests that are traced where their caller doesn't say"
    )
    otlp_endpoint: str | None = _variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        values.endpoint,
        None,
        "where traces are sent, by OTLP over HTTP: `/v1/traces` is put behind it; without one they are not",
        secret=True,
    )
    otlp_traces_endpoint: str | None = _variable(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", values.endpoint, None, "the whole of that URL, in its place", secret=True
    )

    @property
    def development(self) -> bool:
        """Whether it runs on a developer's machine, where nothing is hidden."""
        return self.environment == "development"

    @property
    def traces_endpoint(self) -> str | None:
        """The URL to which traces are sent."""
        if self.otlp_traces_endpoint is not None or self.otlp_endpoint is None:
            return self.otlp_traces_endpoint
        return f"{self.otlp_endpoint.rstrip('/')}/v1/traces"

    def shown(self) -> dict[str, Any]:
        """What each variable is, without secrets: of those whether they are set."""
        return {
            one.metadata["variable"]: ("set" if getattr(self, one.name) else "not set")
            if one.metadata["secret"]
            else getattr(self, one.name)
            for one in fields(self)
            if "variable" in one.metadata
        }

    @property
    def replica_urls(self) -> tuple[str, ...]:
        """The URLs of all replicas, also of the one that is named by its host."""
        if self.postgres_read_replica_host is None or self.database_url is None:
            return self.database_replica_urls
        url = urlsplit(self.database_url)
        user, at, _ = url.netloc.rpartition("@")
        host = self.postgres_read_replica_host
        shown = f"[{host}]" if ":" in host else host
        port = self.postgres_read_replica_port or url.port
        place = f"{user}{at}{shown}" + ("" if port is None else f":{port}")
        return (*self.database_replica_urls, url._replace(netloc=place).geturl())

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, *, file: Path | None = None) -> Settings:
        """Read the environment. Raises `SettingsError` with every problem, unknown `SEAWALL_*` names included.

        file: variables that the environment doesn't set are taken from it, if it is there; such as `.env`.
        """
        environment = os.environ if environment is None else environment
        if file is not None:
            environment = {**_of_file(file), **environment}
        found: dict[str, Any] = {}
        problems: list[str] = []
        known = {one.metadata["variable"]: one for one in fields(cls) if "variable" in one.metadata}
        for variable, one in known.items():
            text = environment.get(variable)
            if text is None:
                continue
            try:
                found[one.name] = one.metadata["read"](text)
            except ValueError as error:
                given = "its value" if one.metadata["secret"] else repr(text)
                problems.append(f"{variable}: {given} is not allowed; allowed: {error}")
        ttls: dict[str, float] = {}
        for variable in sorted(environment):
            if variable.startswith("CACHE_TTL_"):
                try:
                    ttls[variable.removeprefix("CACHE_TTL_").lower()] = values.seconds(environment[variable])
                except ValueError as error:
                    problems.append(f"{variable}: {environment[variable]!r} is not allowed; allowed: {error}")
            if variable.startswith("SEAWALL_") and variable not in known:
                problems.append(_unknown(variable, [name for name in known if name.startswith("SEAWALL_")]))
        if problems:
            raise SettingsError(tuple(problems))
        return cls(cache_ttls=ttls, **found)


def _unknown(variable: str, known: list[str]) -> str:
    close = get_close_matches(variable, known, 1, cutoff=0.8)
    return f"{variable} is unknown; " + (f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}")


def _of_file(file: Path) -> Mapping[str, str]:
    if not file.is_file():
        return {}
    try:
        from dotenv import dotenv_values  # noqa: PLC0415 - only for who has such a file
    except ImportError:
        raise SettingsError((f"{file} is here, but can't be read without 'python-dotenv'; install it",)) from None
    return {name: value for name, value in dotenv_values(file).items() if value is not None}
