"""The story: what happens to the providers, what must be seen then, and how long that may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from podcasts.demo.readers import Readers
from podcasts.demo.traffic import Traffic
from podcasts.demo.watch import Watch
from podcasts.stubs.client import Stubs
from seawall.testing import Valkey

ENOUGH = 20
"""So many answers show that somebody writes."""


class StoryError(Exception):
    """Something that the story promises was not seen in time."""


@dataclass
class Story:
    """Tells itself chapter by chapter; `told` is what was seen so far, with the second it was seen at."""

    stubs: Stubs
    watch: Watch
    traffic: Traffic
    readers: Readers
    valkey: Valkey
    seconds: float
    now: str = "Starting"
    told: list[tuple[float, str]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    listener: Callable[[float, str], None] | None = None
    complete: bool = False

    async def tell(self) -> None:
        """All chapters, in `seconds` at most. Raises `StoryError` when one of them does not happen."""
        try:
            async with asyncio.timeout(self.seconds):
                await self._healthy()
                await self._openai_down()
                await self._openai_back()
                await self._valkey_stops()
                if self.traffic.failed:
                    message = f"{self.traffic.failed} requests failed"
                    raise StoryError(message)
                self.complete = True
        except TimeoutError:
            message = f"not seen within {self.seconds:g} s: {self.now}"
            raise StoryError(message) from None

    async def _healthy(self) -> None:
        self.now = "all providers are well: OpenAI writes the ad-reads"
        await self._until(lambda: self.traffic.by_provider["openai"] >= ENOUGH)
        self._say("all providers are well: OpenAI writes every ad-read")
        await asyncio.sleep(self.seconds * 0.1)

    async def _openai_down(self) -> None:
        self.now = "OpenAI answers 500: its breaker opens"
        await self._fault("openai", "error")
        self._say("OpenAI goes down: it answers every request with a 500")
        await self._until(lambda: self.watch.state("openai") == "open")
        self._say("its circuit breaker has opened: OpenAI is left alone")
        self.now = "Anthropic writes in OpenAI's place, and nobody is turned away"
        before, failed = self.traffic.by_provider["anthropic"], self.traffic.failed
        await self._until(lambda: self.traffic.by_provider["anthropic"] >= before + ENOUGH)
        if self.traffic.failed > failed:
            message = f"{self.traffic.failed - failed} requests failed although Anthropic was well"
            raise StoryError(message)
        self._say("Anthropic has taken over; no request failed")
        await asyncio.sleep(self.seconds * 0.15)

    async def _openai_back(self) -> None:
        self.now = "OpenAI is back: trial calls close its breaker"
        await self._steer(self.stubs.clear, "openai")
        self._say("OpenAI is well again, but only trial calls will tell")
        before = self.traffic.by_provider["openai"]
        await self._until(lambda: self.watch.state("openai") == "closed")
        self._say("trial calls succeeded: the breaker has closed")
        self.now = "OpenAI writes again"
        await self._until(lambda: self.traffic.by_provider["openai"] >= before + ENOUGH)
        self._say("OpenAI writes the ad-reads again")

    async def _valkey_stops(self) -> None:
        self.now = "Valkey, the cache's server, is stopped in mid-breath: SIGSTOP"
        failed = self.readers.failed
        self.readers.begin_watch()
        await asyncio.to_thread(self.valkey.pause)
        try:
            self._say("Valkey stops answering: connections stay open, nothing comes back")
            await self._until(lambda: "degraded" in self.watch.cache)
            self._say("the cache has noticed: memory serves")
            self.now = "a podcast is registered while Valkey hangs, and is in the next list"
            if not await self.readers.register("Tales of the Outage"):
                message = "a podcast that was registered during the outage was not in the next list"
                raise StoryError(message)
            self._say("a new podcast is in the very next list")
            before = self.readers.read
            await self._until(lambda: self.readers.read >= before + 2 * ENOUGH)
        finally:
            await asyncio.to_thread(self.valkey.resume)
        slowest = max(self.readers.watched, default=0.0)
        if self.readers.failed > failed:
            message = f"{self.readers.failed - failed} reads failed while Valkey hung"
            raise StoryError(message)
        self._say(f"{len(self.readers.watched)} reads meanwhile, none failed, the slowest took {slowest * 1000:.0f} ms")
        self.now = "Valkey goes on: what it has missed is told to it"
        await self._until(lambda: "healthy: " in self.watch.cache)
        self._say("Valkey answers again, and has been told what it missed")
        self.now = "all is well again"

    async def go_on(self) -> None:
        """After the story: other bad days in turn, for whoever keeps watching."""
        days: list[tuple[str, str, str]] = [
            ("openai", "rate_limited", "OpenAI answers 429 with Retry-After"),
            ("openai", "hang", "OpenAI accepts requests and never answers"),
            ("openai", "reset", "OpenAI resets every connection"),
            ("openai", "refused", "OpenAI refuses connections"),
            ("anthropic", "slow", "Anthropic takes a second and a half"),
        ]
        while True:
            for provider, kind, words in days:
                await asyncio.sleep(8)
                self.now = words
                self._say(words)
                await self._fault(provider, kind)
                await asyncio.sleep(8)
                await self._steer(self.stubs.clear)
                self.now = "all providers are well"
                self._say(self.now)

    async def _fault(self, provider: str, kind: str) -> None:
        options = {"seconds": 1.5} if kind == "slow" else {}
        await self._steer(lambda: self.stubs.fault(provider, kind, **options))  # type: ignore[arg-type]

    async def _steer(self, call: Callable[..., None], *args: str) -> None:
        try:
            await asyncio.to_thread(call, *args)
        except OSError as error:
            message = f"the provider stubs do not answer: {error}"
            raise StoryError(message) from error

    async def _until(self, seen: Callable[[], bool]) -> None:
        while not seen():  # noqa: ASYNC110 - several things are watched, none of which can wake us
            await asyncio.sleep(0.05)

    def elapsed(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self.began

    def _say(self, words: str) -> None:
        at = self.elapsed()
        self.told.append((at, words))
        if self.listener is not None:
            self.listener(at, words)
