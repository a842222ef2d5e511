"""Watches the service's breakers, retries, cache and database through its admin API."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self

import httpx2

INTERVAL = 0.1


class Watch:
    """Polls the pipelines; `changes` keeps every change of a breaker's state that was seen."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=5.0)
        self._polling: asyncio.Task[None] | None = None
        self._began = time.monotonic()
        self.breakers: dict[str, dict[str, Any]] = {}
        self.retried: dict[str, int] = {}
        self.changes: list[tuple[float, str, str, str]] = []
        self.cache = ""
        """The health of the cache, and why: `degraded: redis is away; memory serves`."""
        self.cache_figures: dict[str, Any] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        """The database's servers by name, as the service sees them."""

    async def __aenter__(self) -> Self:
        await self._poll()
        self._polling = asyncio.create_task(self._poll_on())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await self._client.aclose()

    def state(self, breaker: str) -> str:
        """The state of a breaker when it was last seen."""
        return str(self.breakers.get(breaker, {}).get("state", "unknown"))

    async def _poll_on(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self._poll()
            except httpx2.TransportError:
                continue  # the screen shows what was seen last; traffic shows that nobody answers

    async def _poll(self) -> None:
        parts = (await self._client.get("/health/ready")).json()["checks"]
        cache = parts.get("cache", {})
        self.cache = f"{cache.get('status')}: {cache.get('message')}"
        self.cache_figures = (await self._client.get("/admin/cache")).json()["statistics"]
        nodes = (await self._client.get("/admin/database")).json()["nodes"]
        self.nodes = {node["name"]: node for node in nodes}
        answer = await self._client.get("/admin/pipelines")
        answer.raise_for_status()
        for pipeline in answer.json()["pipelines"]:
            for policy in pipeline["policies"]:
                statistics = policy.get("statistics", {})
                if "state" in statistics:
                    self._saw(pipeline["name"], statistics)
                elif "retried" in statistics:
                    self.retried[pipeline["name"]] = statistics["retried"]

    def _saw(self, name: str, statistics: dict[str, Any]) -> None:
        before = self.breakers.get(name)
        if before is not None and before["state"] != statistics["state"]:
            at = time.monotonic() - self._began
            self.changes.append((at, name, before["state"], statistics["state"]))
        self.breakers[name] = statistics
