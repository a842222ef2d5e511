"""How the text of a variable becomes a value; each raises `ValueError` with what is allowed."""

from __future__ import annotations

import re
from ipaddress import ip_network

_ON = frozenset({"1", "true", "yes", "on"})
_OFF = frozenset({"0", "false", "no", "off"})


def switch(value: str) -> bool:
    """On or off."""
    if value.lower() in _ON:
        return True
    if value.lower() in _OFF:
        return False
    message = "on or off"
    raise ValueError(message)


def seconds(value: str) -> float:
    """A duration above 0."""
    return _duration(value, "seconds")


def hours(value: str) -> float:
    """A duration above 0, in hours."""
    return _duration(value, "hours")


def _duration(value: str, unit: str) -> float:
    message = f"a number of {unit} above 0"
    try:
        found = float(value)
    except ValueError:
        raise ValueError(message) from None
    if not 0 < found < float("inf"):
        raise ValueError(message)
    return found


def count(value: str) -> int:
    """A whole number, 0 or more."""
    message = "a whole number, 0 or more"
    if not value.isdecimal():
        raise ValueError(message)
    return int(value)


def redis_url(value: str) -> str:
    """The URL of Redis or Valkey."""
    if not value.startswith(("redis://", "rediss://", "unix://")):
        message = "a URL that begins with redis://, rediss:// or unix://"
        raise ValueError(message)
    return value


def database_url(value: str) -> str:
    """The URL of PostgreSQL or SQLite."""
    if re.match(r"(postgres(ql)?|sqlite)(\+\w+)?://", value) is None:
        message = "a URL that begins with postgresql:// or sqlite://"
        raise ValueError(message)
    return value


def database_urls(value: str) -> tuple[str, ...]:
    """Several of them, separated by commas."""
    return tuple(database_url(url.strip()) for url in value.split(",") if url.strip())


def service_url(value: str) -> str:
    """The URL of anything, such as a broker."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:(//)?\S*", value) is None:
        message = "a URL such as redis://host:6379/0 or amqp://user:password@host"
        raise ValueError(message)
    return value


def level(value: str) -> str:
    """A level of logging, in capitals."""
    if value.upper() in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        return value.upper()
    message = "DEBUG, INFO, WARNING, ERROR or CRITICAL"
    raise ValueError(message)


def levels(value: str) -> dict[str, str]:
    """Levels by logger: `seawall.database=DEBUG,httpx2=WARNING`."""
    found = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, equals, given = part.partition("=")
        if not equals or not name.strip():
            message = "logger=LEVEL, separated by commas"
            raise ValueError(message)
        found[name.strip()] = level(given.strip())
    return found


def dsn(value: str) -> str:
    """Where Sentry is."""
    if re.fullmatch(r"https?://[^@/\s]+@[^/\s]+/.*[0-9]+", value) is None:
        message = "https://<key>@<host>/<project>"
        raise ValueError(message)
    return value


def endpoint(value: str) -> str:
    """An HTTP URL."""
    if re.match(r"https?://[^/\s]+", value) is None:
        message = "a URL that begins with http:// or https://"
        raise ValueError(message)
    return value


def seconds_or_none(value: str) -> float:
    """A duration, or 0."""
    return 0.0 if value.strip() in {"0", "0.0"} else seconds(value)


def secret(value: str) -> str:
    """Something long enough not to be guessed."""
    shortest = 16
    if len(value) < shortest:
        message = f"at least {shortest} characters"
        raise ValueError(message)
    return value


def ratio(value: str) -> float:
    """A share, 0 to 1."""
    message = "a number from 0 to 1"
    try:
        ratio = float(value)
    except ValueError:
        raise ValueError(message) from None
    if not 0 <= ratio <= 1:
        raise ValueError(message)
    return ratio


def environment(value: str) -> str:
    """A short name."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        message = "a name such as production, staging or development"
        raise ValueError(message)
    return value


def proxies(value: str) -> tuple[str, ...]:
    """Addresses and networks, separated by commas."""
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        for part in found:
            ip_network(part, strict=False)
    except ValueError:
        message = "IP addresses and networks, separated by commas"
        raise ValueError(message) from None
    return found


def host(value: str) -> str:
    """A host's name or address."""
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,255}", value):
        message = "a host's name or address"
        raise ValueError(message)
    return value


def port(value: str) -> int:
    """A TCP port."""
    if not value.isdecimal() or not 0 < int(value) < 65536:  # noqa: PLR2004 - what TCP has
        message = "a port, 1 to 65535"
        raise ValueError(message)
    return int(value)
