"""The environment is read here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from seawall.core import SeawallError

_ON = frozenset({"1", "true", "yes", "on"})
_OFF = frozenset({"0", "false", "no", "off"})


class SettingsError(SeawallError, ValueError):
    """One or more environment variables have values that cannot work; all are named at once."""

    code = "settings"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems)


def _switch(value: str) -> bool:
    if value.lower() in _ON:
        return True
    if value.lower() in _OFF:
        return False
    message = "on or off"
    raise ValueError(message)


def _seconds(value: str) -> float:
    message = "a number of seconds above 0"
    try:
        seconds = float(value)
    except ValueError:
        raise ValueError(message) from None
    if not 0 < seconds < float("inf"):
        raise ValueError(message)
    return seconds


def _count(value: str) -> int:
    message = "a whole number, 0 or more"
    if not value.isdecimal():
        raise ValueError(message)
    return int(value)


def _redis_url(value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "unix://")):
        message = "a URL that begins with redis://, rediss:// or unix://"
        raise ValueError(message)
    return value


def _database_url(value: str) -> str:
    if re.match(r"(postgres(ql)?|sqlite)(\+\w+)?://", value) is None:
        message = "a URL that begins with postgresql:// or sqlite://"
        raise ValueError(message)
    return value


def _database_urls(value: str) -> tuple[str, ...]:
    return tuple(_database_url(url.strip()) for url in value.split(",") if url.strip())


def _level(value: str) -> str:
    if value.upper() in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        return value.upper()
    message = "DEBUG, INFO, WARNING, ERROR or CRITICAL"
    raise ValueError(message)


def _secret(value: str) -> str:
    shortest = 16
    if len(value) < shortest:
        message = f"at least {shortest} characters"
        raise ValueError(message)
    return value


def _variable(name: str, read: Callable[[str], Any], default: Any, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"variable": name, "read": read, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. Secrets are not in its `repr`.

    admin_token: who sends it may steer breakers; without one nobody may.
    resilience: off leaves every call as it is.
    request_timeout: seconds a request may take when its caller sends no deadline of its own.
    redis_url: the cache's shared tier; None keeps the cache in memory.
    cache_ttl: seconds an entry is fresh where its category says nothing else. cache_ttls: by category, from
    `CACHE_TTL_<CATEGORY>`. cache_max_entries: how many entries memory holds. cache_namespace: what the keys in Redis
    begin with; None takes the service's name.
    database_url: None is a file of SQLite named after the service. database_replica_urls: separated by commas. Of the
    pool, for each server: connections kept, more while needed, seconds to wait for one, seconds until it is replaced.
    database_show_requests: PostgreSQL is told which request it works for.
    secret_key: what cookies of ours are signed with; the same in every process.
    """

    admin_token: str | None = _variable("SEAWALL_ADMIN_TOKEN", _secret, None, secret=True)
    resilience: bool = _variable("SEAWALL_RESILIENCE", _switch, True)
    request_timeout: float = _variable("SEAWALL_REQUEST_TIMEOUT", _seconds, 60.0)
    redis_url: str | None = _variable("REDIS_URL", _redis_url, None, secret=True)
    cache_ttl: float = _variable("CACHE_TTL", _seconds, 300.0)
    cache_ttls: Mapping[str, float] = field(default_factory=dict)
    cache_max_entries: int = _variable("CACHE_MAX_ENTRIES", _count, 10_000)
    cache_namespace: str | None = _variable("CACHE_NAMESPACE", str, None)
    database_url: str | None = _variable("DATABASE_URL", _database_url, None, secret=True)
    database_replica_urls: tuple[str, ...] = _variable("DATABASE_REPLICA_URLS", _database_urls, (), secret=True)
    database_pool_size: int = _variable("DATABASE_POOL_SIZE", _count, 10)
    database_max_overflow: int = _variable("DATABASE_MAX_OVERFLOW", _count, 20)
    database_pool_timeout: float = _variable("DATABASE_POOL_TIMEOUT", _seconds, 30.0)
    database_pool_recycle: float = _variable("DATABASE_POOL_RECYCLE", _seconds, 3600.0)
    database_show_requests: bool = _variable("DATABASE_SHOW_REQUESTS", _switch, False)
    secret_key: str | None = _variable("SEAWALL_SECRET_KEY", _secret, None, secret=True)
    log_level: str = _variable("LOG_LEVEL", _level, "INFO")
    log_json_format: bool = _variable("LOG_JSON_FORMAT", _switch, True)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises `SettingsError` with every problem, unknown `SEAWALL_*` names included."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        problems: list[str] = []
        known = {one.metadata["variable"]: one for one in fields(cls) if "variable" in one.metadata}
        for variable, one in known.items():
            text = environment.get(variable)
            if text is None:
                continue
            try:
                values[one.name] = one.metadata["read"](text)
            except ValueError as error:
                given = "its value" if one.metadata["secret"] else repr(text)
                problems.append(f"{variable}: {given} is not allowed; allowed: {error}")
        ttls: dict[str, float] = {}
        for variable in sorted(environment):
            if variable.startswith("CACHE_TTL_"):
                try:
                    ttls[variable.removeprefix("CACHE_TTL_").lower()] = _seconds(environment[variable])
                except ValueError as error:
                    problems.append(f"{variable}: {environment[variable]!r} is not allowed; allowed: {error}")
            if variable.startswith("SEAWALL_") and variable not in known:
                names = ", ".join(name for name in known if name.startswith("SEAWALL_"))
                problems.append(f"{variable} is unknown; known: {names}")
        if problems:
            raise SettingsError(tuple(problems))
        return cls(cache_ttls=ttls, **values)
