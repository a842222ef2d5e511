"""Who sent a request, behind proxies that are trusted or not."""

import pytest

from seawall.core import OptionError
from seawall.web.client_address import client_behind


def scope(connected: str | None, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"client": None if connected is None else (connected, 1234), "headers": headers}


@pytest.mark.parametrize(
    ("connected", "forwarded", "client"),
    [
        ("192.0.2.1", ["10.9.9.9"], "192.0.2.1"),  # no proxy of ours: what it says is not believed
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["6.6.6.6, 192.0.2.1"], "192.0.2.1"),  # the first was put there by the client
        ("10.0.0.1", ["192.0.2.1, 10.0.0.7"], "192.0.2.1"),
        ("10.0.0.1", ["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("10.0.0.1", ["[2001:DB8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["192.0.2.1, garbage"], "10.0.0.1"),
        ("10.0.0.1", ["garbage, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("unix", ["192.0.2.1"], "unix"),
        (None, ["192.0.2.1"], "unknown"),
    ],
)
def test_the_first_address_that_no_proxy_of_ours_has(connected, forwarded, client):
    assert client_behind(["10.0.0.0/8"])(scope(connected, *forwarded)) == client


def test_without_proxies_the_connection_counts():
    assert client_behind([])(scope("10.0.0.1", "192.0.2.1")) == "10.0.0.1"


def test_what_is_no_address_is_refused():
    with pytest.raises(OptionError, match="IP addresses"):
        client_behind(["proxy.example"])
