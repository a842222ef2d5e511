"""Traffic: asks for ad-reads at a steady rate, whatever the service does, and keeps count."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx2

WINDOW = 5.0
"""Seconds over which rates and latencies are shown."""


class Answer(NamedTuple):
    """One request: when it ended, how long it took (seconds), and who wrote the ad-read (empty: nobody)."""

    at: float
    seconds: float
    provider: str


class Traffic:
    """Sends `rate` requests a second to one campaign's copy endpoint, with at most `most` under way."""

    def __init__(self, url: str, *, rate: float = 20.0, most: int = 200) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=10.0, limits=httpx2.Limits(max_connections=most))
        self._interval = 1.0 / rate
        self._most = most
        self._under_way: set[asyncio.Task[None]] = set()
        self._sending: asyncio.Task[None] | None = None
        self.recent: deque[Answer] = deque()
        self.seconds: list[float] = []
        self.by_provider: Counter[str] = Counter()
        self.failed = 0
        self.failure = ""
        """What the last failed request came to."""
        self.skipped = 0

    async def __aenter__(self) -> Self:
        path = await self._campaign()
        self._sending = asyncio.create_task(self._send(path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._under_way, *([self._sending] if self._sending is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    @property
    def sent(self) -> int:
        """Requests that were answered, well or not."""
        return sum(self.by_provider.values()) + self.failed

    def percentile(self, share: float, *, recent: bool = True) -> float:
        """Seconds within which this share of the requests was answered, lately or ever; 0 for none."""
        ordered = sorted([answer.seconds for answer in self.recent] if recent else self.seconds)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0

    def rate(self, provider: str | None = None) -> float:
        """Answers a second lately, of one provider or (None) of all; an empty name is for failures."""
        self._forget()
        found = [answer for answer in self.recent if provider is None or answer.provider == provider]
        return len(found) / WINDOW

    async def _campaign(self) -> str:
        async def create(path: str, **body: Any) -> str:
            answer = await self._client.post(f"/api/v1/{path}", json=body)
            answer.raise_for_status()
            return str(answer.json()["id"])

        podcast = await create("podcasts", title="Deep Sea Tales", host="Mia", email="mia@show.example")
        sponsor = await create("sponsors", name="Acme Coffee", email="ads@acme.example", product="coffee beans")
        body = {"podcast_id": podcast, "sponsor_id": sponsor, "budget": "1200.00", "promo_code": "DEEP20"}
        return f"/api/v1/campaigns/{await create('campaigns', **body)}/copy"

    async def _send(self, path: str) -> None:
        due = time.monotonic()
        while True:
            due += self._interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self._under_way) >= self._most:
                self.skipped += 1
                continue
            task = asyncio.create_task(self._ask(path))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _ask(self, path: str) -> None:
        began = time.monotonic()
        provider = ""
        try:
            answer = await self._client.post(path)
            if answer.is_success:
                provider = str(answer.json()["provider"])
            else:
                self.failure = f"{answer.status_code} {answer.text}"
        except httpx2.TransportError as error:
            self.failure = f"{type(error).__name__}: {error}"
        now = time.monotonic()
        if provider:
            self.by_provider[provider] += 1
        else:
            self.failed += 1
        self.seconds.append(now - began)
        self.recent.append(Answer(now, now - began, provider))
        self._forget()

    def _forget(self) -> None:
        oldest = time.monotonic() - WINDOW
        while self.recent and self.recent[0].at < oldest:
            self.recent.popleft()
