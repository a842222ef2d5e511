"""Where the server is and how to greet it, from a URL; a secret in it is never repeated."""

from __future__ import annotations

import re
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.connection import UnixDomainSocketConnection as UnixConnection

from seawall.core import OptionError

_ALLOWED = "redis://, rediss:// or unix://, as redis://user:password@host:6379/0"
_OF_A_POOL = ("max_connections", "timeout", "decode_responses", "protocol", "retry_on_timeout")


class Address:
    """A server's URL, taken apart by redis-py, with what it says about passwords, TLS and the database.

    Raises `OptionError` where the URL is none.
    """

    __slots__ = ("_kind", "_options", "text")

    def __init__(self, kind: type[AbstractConnection], options: dict[str, Any]) -> None:
        self._kind = kind
        self._options = options
        host = options.get("host", "localhost")
        self.text: str = options.get("path") or f"{f'[{host}]' if ':' in host else host}:{options.get('port', 6379)}"

    @classmethod
    def of(cls, owner: str, url: str, **options: Any) -> Address:
        """The address that `url` names; `options` are redis-py's and hold where the URL is silent."""
        try:
            parsed: dict[str, Any] = dict(parse_url(url))
            kind = parsed.pop("connection_class", Connection)
            for option in _OF_A_POOL:
                parsed.pop(option, None)
            path = re.sub(r"[?#].*", "", url).partition("://")[2].partition("/")[2]
            if "://" not in url or (kind is not UnixConnection and not re.fullmatch(r"\d*/?", path)):
                raise ValueError(path)  # noqa: TRY301 - redis-py would take database 0
            found = cls(kind, {**options, **parsed})
            found.connection("seawall", 1.0)
        except (ValueError, TypeError, AttributeError):
            # No cause: it may quote the password.
            raise OptionError(owner, "url", redacted(url), _ALLOWED) from None
        return found

    def at(self, host: str, port: int) -> Address:
        """The same greeting for another server."""
        return Address(self._kind, {**self._options, "host": host, "port": port})

    @property
    def options(self) -> dict[str, Any]:
        """What redis-py's own clients are given to go to the same place."""
        return dict(self._options)

    def connection(self, client_name: str, timeout: float) -> AbstractConnection:
        """A connection of redis-py's, not yet opened, that speaks RESP3 and doesn't retry."""
        defaults = {"client_name": client_name, "socket_timeout": timeout, "driver_info": None}
        return self._kind(**{**defaults, **self._options, "protocol": 3, "decode_responses": False})

    def hidden(self, text: str) -> str:
        """`text` without the password."""
        password = self._options.get("password")
        return text.replace(password, "***") if password else text

    def __repr__(self) -> str:
        return f"Address({self.text})"


def redacted(url: object) -> str:
    """A URL without what may be a secret in it: what stands before its last @, and its query."""
    if not isinstance(url, str):
        return type(url).__name__
    return re.sub(r"(^|//)[^@]*(?:.*)@", r"\1***@", url.partition("?")[0])
