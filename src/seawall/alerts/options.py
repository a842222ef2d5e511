"""Where alerts begin to fire, and what Prometheus scrapes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from seawall.core import OptionError
from seawall.core.options import number

_RATIOS = ("cache_memory", "cpu", "memory", "disk_free", "open_files", "job_failures")
_TARGET = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_CODE = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where alerts begin to fire. Rates are per second and durations seconds; ratios are between 0 and 1.

    error_rate: answers of 5xx. latency: the 95th percentile of requests. traffic: requests, below which there are few.
    database_connections: in use of one server. statement_seconds: the 95th percentile of statements.
    replication_lag: of a replica. cache_memory: used of what Redis may have. cpu, memory: used of the machine or the
    container. disk_free: below which there is little. open_files: of those that the process may have.
    event_loop_lag: the 99th percentile. job_failures: the share of a job's runs that failed. job_wait: the 95th
    percentile. rate_limited: answers of 429. blocked: requests that the firewall refused. failed_logins: wrong names or
    passwords. blocked_codes, login_codes: the problem codes by which these are known.
    """

    error_rate: float = 0.1
    latency: float = 2.0
    traffic: float = 0.01
    database_connections: float = 80
    statement_seconds: float = 5.0
    replication_lag: float = 30.0
    cache_memory: float = 0.9
    cpu: float = 0.8
    memory: float = 0.9
    disk_free: float = 0.1
    open_files: float = 0.9
    event_loop_lag: float = 0.25
    job_failures: float = 0.1
    job_wait: float = 300.0
    rate_limited: float = 1.0
    blocked: float = 0.1
    failed_logins: float = 0.2
    blocked_codes: Sequence[str] = ("request-blocked",)
    login_codes: Sequence[str] = ("invalid-credentials",)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_codes"):
                _names("Thresholds", field.name, value, _CODE, "problem codes, at least one")
                object.__setattr__(self, field.name, tuple(value))
            else:
                number("Thresholds", field.name, value, above=0)
                if field.name in _RATIOS and value >= 1:
                    raise OptionError("Thresholds", field.name, value, "a number above 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What Prometheus scrapes, and whom it tells: `host:port` each.

    service: the service's processes or hosts. postgresql, redis: exporters (postgres_exporter, redis_exporter); none
    where there is none. alertmanager: who sends the alerts on. page, ticket: the webhooks that the example names.
    """

    service: Sequence[str] = ("127.0.0.1:8000",)
    postgresql: Sequence[str] = ("127.0.0.1:9187",)
    redis: Sequence[str] = ("127.0.0.1:9121",)
    alertmanager: Sequence[str] = ("127.0.0.1:9093",)
    page: str = "http://127.0.0.1:9099/page"
    ticket: str = "http://127.0.0.1:9099/ticket"

    def __post_init__(self) -> None:
        for name in ("service", "postgresql", "redis", "alertmanager"):
            value = getattr(self, name)
            some = name in {"service", "alertmanager"}
            _names("Targets", name, value, _TARGET, f"a list of host:port{', at least one' * some}", some=some)
            object.__setattr__(self, name, tuple(value))
        for name in ("page", "ticket"):
            value = getattr(self, name)
            if not isinstance(value, str) or not re.fullmatch(r"https?://\S+", value):
                raise OptionError("Targets", name, "(not shown)", "a URL that begins with http")


def _names(
    owner: str, option: str, value: object, pattern: re.Pattern[str], allowed: str, *, some: bool = True
) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence) or (some and not value):
        raise OptionError(owner, option, value, allowed)
    for one in value:
        if not isinstance(one, str) or not pattern.fullmatch(one):
            raise OptionError(owner, option, one, allowed)
