"""Who sent a request, also behind proxies that one trusts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network

from starlette.types import Scope

from seawall.core import OptionError

UNKNOWN = "unknown"


def client_of(scope: Scope) -> str:
    """The address the connection came from."""
    client = scope.get("client")
    return client[0] if client else UNKNOWN


def client_behind(proxies: Sequence[str]) -> Callable[[Scope], str]:
    """A function that tells a request's client where `proxies` (addresses, or networks: `10.0.0.0/8`) are trusted.

    Each proxy appends to `X-Forwarded-For` whom it was asked by. So the list is read from its end for as long as the
    address is a trusted proxy's: the first other one is the client. What a client has put in front isn't believed.
    Raises `OptionError` for what is no address.
    """
    if not proxies:
        return client_of
    try:
        networks = [ip_network(proxy, strict=False) for proxy in proxies]
    except ValueError as error:
        raise OptionError("trusted proxies", "address", tuple(proxies), "IP addresses and networks") from error

    @lru_cache(maxsize=1024)
    def trusted(address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in networks)

    def client(scope: Scope) -> str:
        address = client_of(scope)
        if not trusted(address):
            return address
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        for part in reversed(forwarded.decode("latin-1").split(",")):
            given = _address(part.strip())
            if given is None:
                break
            address = given
            if not trusted(address):
                break
        return address

    return client


def _address(text: str) -> str | None:
    """The address in `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80` or `2001:db8::1`, in its usual form."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
