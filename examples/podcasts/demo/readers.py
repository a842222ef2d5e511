"""Readers: ask for a tenant's podcasts at a steady rate, and keep count of what they notice."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Any, Self

import httpx2

WINDOW = 5.0
"""Seconds over which rates and latencies are shown."""


class Readers:
    """Sends `rate` requests a second for the list of podcasts.

    failed: answers that were no success; failure: what the last of them came to. watched: seconds that each has taken
    since `begin_watch`.
    """

    def __init__(self, url: str, *, rate: float = 40.0) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=10.0)
        self._interval = 1.0 / rate
        self._under_way: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Task[None] | None = None
        self.recent: deque[tuple[float, float]] = deque(maxlen=int(rate * WINDOW))
        self.read = 0
        self.failed = 0
        self.failure = ""
        self.watched: list[float] = []

    async def __aenter__(self) -> Self:
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._under_way, *([self._sending] if self._sending is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    def begin_watch(self) -> None:
        """Watch closely from now on."""
        self.watched = []

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the watched reads was answered; 0 for none."""
        ordered = sorted(self.watched)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def latest(self) -> float:
        """Seconds that half of the reads took lately."""
        ordered = sorted(seconds for at, seconds in self.recent if at > time.monotonic() - WINDOW)
        return ordered[len(ordered) // 2] if ordered else 0.0

    async def register(self, title: str) -> bool:
        """Register a podcast; whether the list shows it in the very next answer."""
        body: dict[str, Any] = {"title": title, "host": "Mia", "email": "mia@show.example"}
        answer = await self._client.post("/api/v1/podcasts", json=body)
        answer.raise_for_status()
        after = await self._client.get("/api/v1/podcasts", params={"limit": 100})
        return title in [podcast["title"] for podcast in after.json()]

    async def _send(self) -> None:
        due = time.monotonic()
        while True:
            due += self._interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._ask())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _ask(self) -> None:
        began = time.monotonic()
        failure = ""
        try:
            answer = await self._client.get("/api/v1/podcasts")
            if not answer.is_success:
                failure = f"{answer.status_code} {answer.text}"
        except httpx2.TransportError as error:
            failure = f"{type(error).__name__}: {error}"
        if failure:
            self.failed, self.failure = self.failed + 1, failure
        now = time.monotonic()
        self.read += 1
        self.recent.append((now, now - began))
        self.watched.append(now - began)
