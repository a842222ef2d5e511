"""The checker: writes, reads at once what was written, and never takes an older answer for a newer one."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx2

PAUSE = 0.05
"""Seconds between what one client does and what it does next."""
AGAIN = 0.02
"""Seconds until a write that was refused is tried again."""


class Checker:
    """`clients` at the same time, each with cookies and a campaign of its own.

    Each records an event and lists the campaign's events: the newest must be that one (else: stale). Then it lists
    those of its neighbour twice: what was there once must be there later (else: backwards). None of this is cached.

    refused: writes that were answered otherwise and tried again. failed: reads without an answer; failure: what the
    last of them came to. last_write: when, by the monotonic clock, a write was through last.
    """

    def __init__(self, url: str, *, clients: int = 4) -> None:
        self._clients = [httpx2.AsyncClient(base_url=url, timeout=20.0) for _ in range(clients)]
        self._tasks: list[asyncio.Task[None]] = []
        self.writes = self.reads = self.stale = self.backwards = self.failed = self.refused = 0
        self.failure = ""
        self.last_write = 0.0

    @property
    def violations(self) -> int:
        """Answers that were wrong."""
        return self.stale + self.backwards

    async def __aenter__(self) -> Self:
        campaigns = [await self._campaign(client, number) for number, client in enumerate(self._clients)]
        for number, client in enumerate(self._clients):
            task = self._check(client, campaigns[number], campaigns[number - 1])
            self._tasks.append(asyncio.create_task(task))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.aclose()

    async def _campaign(self, client: httpx2.AsyncClient, number: int) -> str:
        async def create(path: str, **body: Any) -> str:
            answer = await client.post(f"/api/v1/{path}", json=body)
            answer.raise_for_status()
            return str(answer.json()["id"])

        podcast = await create("podcasts", title=f"The Checker {number}", host="Ada", email="ada@show.example")
        sponsor = await create("sponsors", name="Fathom Tea", email="ads@fathom.example", product="tea")
        body = {"podcast_id": podcast, "sponsor_id": sponsor, "budget": "900.00", "promo_code": f"CHECK{number}"}
        return await create("campaigns", **body)

    async def _check(self, client: httpx2.AsyncClient, own: str, other: str) -> None:
        latest: str | None = None
        while True:
            written = await self._write(client, own)
            events = await self._list(client, own, limit=1)
            self.stale += events is not None and events != [written]
            for _ in range(2):
                events = await self._list(client, other, limit=100)
                self.backwards += events is not None and latest is not None and latest not in events
                latest = events[0] if events else latest
            await asyncio.sleep(PAUSE)

    async def _write(self, client: httpx2.AsyncClient, campaign: str) -> str:
        """Record an event, however often that must be tried: with the same id it is counted once."""
        event = {"id": str(uuid4()), "kind": "visit"}
        while True:
            try:
                answer = await client.post(f"/api/v1/campaigns/{campaign}/events", json=event)
                if answer.status_code == 201:
                    break
            except httpx2.TransportError:
                pass
            self.refused += 1
            await asyncio.sleep(AGAIN)
        self.last_write = time.monotonic()
        self.writes += 1
        return event["id"]

    async def _list(self, client: httpx2.AsyncClient, campaign: str, *, limit: int) -> list[str] | None:
        self.reads += 1
        try:
            answer = await client.get(f"/api/v1/campaigns/{campaign}/events", params={"limit": limit})
            answer.raise_for_status()
        except (httpx2.TransportError, httpx2.HTTPStatusError) as error:
            self.failed, self.failure = self.failed + 1, f"{type(error).__name__}: {error}"
            return None
        return [event["id"] for event in answer.json()["items"]]
