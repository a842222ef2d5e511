"""Where servers are: URLs as libpq reads them, and what of them each driver is told."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from seawall.core import OptionError

_ALLOWED = "postgresql://user:password@host:port/database or sqlite:///path"
_POSTGRES = re.compile(r"postgres(?:ql)?(?:\+(?:asyncpg|psycopg2?|psycopg_async|pg8000))?")
_SQLITE = {"sqlite", "sqlite+aiosqlite"}
_PARTS = re.compile(r"(?P<before>[^:/?#]+://(?:[^/?#]*@)?)(?P<hosts>[^/?#]*)(?P<after>.*)", re.DOTALL)
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
_KNOWN = (*_TLS, "application_name", "connect_timeout", "options")
_SOCKETS = ("/run/postgresql", "/var/run/postgresql", "/var/pgsql_socket", "/private/tmp", "/tmp")  # noqa: S108
_ARGUMENT = "nothing; say it to asyncpg by Database(connect_args={{{name!r}: …}})"
_INSTEAD = {
    "channel_binding": "nothing, the driver has none; sslmode=verify-full keeps others out as well",
    "gssencmode": "nothing, connections are encrypted by TLS; see sslmode",
    "target_session_attrs": "nothing, which server is the primary they tell themselves",
    "load_balance_hosts": "nothing, reads are spread over the replicas anyway",
    "pgbouncer": "nothing; write Database(pooler=True)",
    "statement_cache_size": _ARGUMENT,
    "prepared_statement_cache_size": _ARGUMENT,
    "command_timeout": _ARGUMENT,
    "server_settings": _ARGUMENT,
}


def parse_urls(option: str, given: str) -> list[URL]:
    """A URL for each server that `given` names, several where it has a list of hosts.

    Its drivername is the driver that is used, its host a name or the directory of a Unix socket, and its query has
    nothing but what libpq knows and both drivers can do. Raises `OptionError`, without the password.
    """
    parts = _PARTS.fullmatch(given)
    if parts is None:
        raise OptionError("Database", option, "no URL", _ALLOWED)
    try:
        url = make_url(f"{parts['before']}{'' if ',' in parts['hosts'] else parts['hosts']}{parts['after']}")
    except (ArgumentError, ValueError):
        raise OptionError("Database", option, "no URL", _ALLOWED) from None
    if url.drivername in _SQLITE:
        return [url.set(drivername="sqlite+aiosqlite")]
    if _POSTGRES.fullmatch(url.drivername) is None:
        raise OptionError("Database", option, url.render_as_string(hide_password=True), _ALLOWED)
    hosts = parts["hosts"].split(",") if "," in parts["hosts"] else _listed(url, "host")
    ports = _listed(url, "port")
    query = _query(option, url)
    url = url.set(drivername="postgresql+asyncpg", query=query)
    if not hosts:
        return [url if url.host is None else url.set(host=unquote(url.host))]
    return [_at(option, url, host, ports[place % len(ports)] if ports else None) for place, host in enumerate(hosts)]


def _listed(url: URL, name: str) -> list[str]:
    value = url.query.get(name, ())
    return [each for part in ((value,) if isinstance(value, str) else value) for each in part.split(",")]


def _at(option: str, url: URL, given: str, port: str | None) -> URL:
    """`url` at one of several hosts, `name`, `name:port`, `[::1]:port`, or a directory."""
    host, colon, own = (given, "", "") if given.startswith("/") else given.rpartition(":")
    if not colon or given.endswith("]"):
        host, own = given, port or ""
    if not host or not (own.isdecimal() or not own):
        raise OptionError("Database", f"{option}, its host", given, "host, host:port, a directory; several by commas")
    return url.set(host=unquote(host.strip("[]")), port=int(own) if own else url.port)


def _query(option: str, url: URL) -> dict[str, str]:
    """The options of `url` that aren't its host, as libpq names them."""
    found: dict[str, str] = {}
    for name, values in url.query.items():
        value = values if isinstance(values, str) else values[-1]
        if name in {"host", "port"}:
            continue
        if name == "ssl":
            name, value = "sslmode", {"true": "require", "1": "require", "false": "disable"}.get(value, value)  # noqa: PLW2901
        if name not in _KNOWN:
            allowed = _INSTEAD.get(name, f"nothing, it is unknown; known: {', '.join(_KNOWN)}").format(name=name)
            raise OptionError("Database", f"{option}, its {name!r}", value, allowed)
        if name == "sslmode" and value not in _MODES:
            raise OptionError("Database", f"{option}, its 'sslmode'", value, ", ".join(_MODES))
        if name == "connect_timeout" and re.fullmatch(r"[1-9]\d{0,4}", value) is None:
            raise OptionError("Database", f"{option}, its 'connect_timeout'", value, "whole seconds, 1 or more")
        found[name] = value
    return found


def _text(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if isinstance(value, str) else None


def name_of(url: URL) -> str:
    """What the server of `url` is called: host:port."""
    return f"{url.host or 'localhost'}:{url.port or 5432}"


def connect_timeout(url: URL) -> float | None:
    """Seconds a connection may take to be made; None where the URL doesn't say."""
    seconds = _text(url, "connect_timeout")
    return None if seconds is None else float(seconds)


def asyncpg_arguments(url: URL) -> dict[str, Any]:
    """What asyncpg is told of the options of `url`."""
    arguments: dict[str, Any] = {}
    # It takes the files of TLS in a URL only.
    if tls := {name: value for name in _TLS if (value := _text(url, name)) is not None}:
        arguments["dsn"] = f"postgresql://?{urlencode(tls)}"
    settings = {name: value for name in ("application_name", "options") if (value := _text(url, name)) is not None}
    if settings:
        arguments["server_settings"] = settings
    if (seconds := connect_timeout(url)) is not None:
        arguments["timeout"] = seconds
    return arguments


def pg8000_arguments(url: URL) -> dict[str, Any]:
    """What pg8000 is told of the options of `url`. It takes `timeout` for every answer, not for a connection alone."""
    arguments: dict[str, Any] = {"ssl_context": _tls(url)}
    if (name := _text(url, "application_name")) is not None:
        arguments["application_name"] = name
    if (options := _text(url, "options")) is not None:
        arguments["startup_params"] = {"options": options}
    if (path := _socket_path(url)) is not None:
        arguments["unix_sock"] = path
        arguments["ssl_context"] = False
    return arguments


def _socket_path(url: URL) -> str | None:
    """The Unix socket to connect to, None for TCP. Without a host it is the usual one, where there is one."""
    if url.host is not None:
        return f"{url.host}/.s.PGSQL.{url.port or 5432}" if url.host.startswith("/") else None
    paths = (f"{directory}/.s.PGSQL.{url.port or 5432}" for directory in _SOCKETS)
    return next((path for path in paths if Path(path).exists()), None)


def _tls(url: URL) -> ssl.SSLContext | bool | None:
    """False for none, None for TLS if the server has it, True for TLS whoever it is, or what the server must show."""
    mode, root = _text(url, "sslmode") or "prefer", _text(url, "sslrootcert")
    certificate = _text(url, "sslcert")
    if mode == "disable":
        return False
    if mode in {"allow", "prefer"}:
        return None
    if root is None and (default := Path.home() / ".postgresql" / "root.crt").exists():
        root = str(default)
    if mode == "require" and root is None and certificate is None:
        return True
    context = ssl.create_default_context(cafile=root)
    context.check_hostname = mode == "verify-full"
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, _text(url, "sslkey"))
    return context
