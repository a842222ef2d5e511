"""Who is the primary: the sentinels say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from seawall.core import OptionError
from seawall.redis.address import Address


class Sentinels:
    """Asks all sentinels at once where `service` has its primary; the first that knows is believed.

    An old answer does no harm: whoever connects asks the server itself, too.
    """

    def __init__(
        self, sentinels: Sequence[str], service: str, greeting: Address, primary: Address, timeout: float
    ) -> None:
        if isinstance(sentinels, str) or not sentinels:
            raise OptionError("Redis.sentinel", "sentinels", sentinels, 'a list such as ["10.0.0.1:26379"]')
        self._sentinels = [_host_and_port(each) for each in sentinels]
        self._service = service
        self._greeting = greeting
        self._primary = primary
        self._timeout = timeout

    async def __call__(self) -> Address:
        """The primary's address. Raises what redis-py raised for the sentinel that answered last."""
        asked = [asyncio.create_task(self._ask(*each)) for each in self._sentinels]
        wrong: Exception | None = None
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    return self._primary.at(*await answer)
                except Exception as error:  # noqa: BLE001 - another may know
                    wrong = error
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise wrong or ConnectionError(f"no sentinel knows {self._service!r}")

    async def _ask(self, host: str, port: int) -> tuple[str, int]:
        greeting = {
            **self._greeting.options,
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        greeting.pop("host", None)
        greeting.pop("port", None)
        made: Any = Sentinel
        async with made([(host, port)], sentinel_kwargs=greeting) as sentinel:
            found_host, found_port = await sentinel.discover_master(self._service)
        return str(found_host), int(found_port)


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = str(text).rpartition(":")
    if not host or not port.isdigit():
        raise OptionError("Redis.sentinel", "sentinels", text, "host:port")
    return host.strip("[]"), int(port)
