"""The story: what happens to the providers, what must be seen then, and how long that may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from podcasts.demo.checker import Checker
from podcasts.demo.cluster import Cluster, name
from podcasts.demo.readers import Readers
from podcasts.demo.traffic import Traffic
from podcasts.demo.watch import Watch
from podcasts.stubs.client import Stubs
from seawall.testing import Valkey
from seawall.testing.postgres import Postgres

LAG = 1.5
"""Seconds by which a replica falls behind."""
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
    checker: Checker
    cluster: Cluster
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
                await self._replica_lags()
                await self._replica_dies()
                await self._primary_dies()
                self._nothing_went_wrong()
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
            message = (
                f"{self.traffic.failed - failed} requests failed although Anthropic was well ({self.traffic.failure})"
            )
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
            message = f"{self.readers.failed - failed} reads failed while Valkey hung ({self.readers.failure})"
            raise StoryError(message)
        self._say(f"{len(self.readers.watched)} reads meanwhile, none failed, the slowest took {slowest * 1000:.0f} ms")
        self.now = "Valkey goes on: what it has missed is told to it"
        await self._until(lambda: "healthy: " in self.watch.cache)
        self._say("Valkey answers again, and has been told what it missed")
        self.now = "all is well again"

    async def _replica_lags(self) -> None:
        slow = self.cluster.replicas[0]
        self.now = "a replica of the database falls behind, by a second and a half"
        await asyncio.to_thread(slow.set_delay, LAG)
        try:
            self._say(f"the replica on port {slow.port} replays what is written {LAG:g} s late")
            await self._until(lambda: (self._node(slow)["behind"] or 0) > 0)
            reads, writes = self.checker.reads, self.checker.writes
            await asyncio.sleep(2 * LAG)
            await self._until(lambda: self.checker.writes >= writes + ENOUGH)
            self._nothing_went_wrong()
            self._say(
                f"{self.checker.writes - writes} writes, {self.checker.reads - reads} reads: "
                "all were shown what they wrote, and nothing older later"
            )
        finally:
            await asyncio.to_thread(slow.set_delay, 0.0)

    async def _replica_dies(self) -> None:
        dead = self.cluster.replicas[1]
        self.now = "a replica is killed: SIGKILL"
        await asyncio.to_thread(dead.kill)
        self._say(f"the replica on port {dead.port} is killed")
        await self._until(lambda: not self._node(dead)["usable"])
        reads = self.checker.reads
        await self._until(lambda: self.checker.reads >= reads + ENOUGH)
        self._nothing_went_wrong()
        self._say(f"{self.checker.reads - reads} reads since, none failed")
        await asyncio.to_thread(dead.start)
        before = self._node(dead)["statements"]
        await self._until(lambda: self._node(dead)["usable"] and self._node(dead)["statements"] > before)
        self._say("it has been started again, and serves reads")

    async def _primary_dies(self) -> None:
        self.now = "the primary is killed, and a replica is promoted"
        former = self.cluster.primary
        await asyncio.to_thread(former.kill)
        self._say(f"the primary on port {former.port} is killed")
        primary = await asyncio.to_thread(self.cluster.promote)
        promoted = time.monotonic()
        self._say(f"the replica on port {primary.port} has been promoted")
        await self._until(lambda: self.checker.last_write > promoted)
        self._say(f"the first write is through {(self.checker.last_write - promoted) * 1000:.0f} ms later")
        writes = self.checker.writes
        await self._until(lambda: self.checker.writes >= writes + ENOUGH)
        self._nothing_went_wrong()
        self.now = "the former primary comes back as a replica"
        await asyncio.to_thread(self.cluster.rejoin, former)
        await self._until(lambda: all(node["usable"] for node in self.watch.nodes.values()))
        self._say("the former primary is a replica now; nothing was lost or stale")
        self.now = "all is well again"

    def _nothing_went_wrong(self) -> None:
        checker = self.checker
        wrong = {
            f"{self.traffic.failed} requests failed ({self.traffic.failure})": self.traffic.failed,
            f"{self.readers.failed} reads of lists failed ({self.readers.failure})": self.readers.failed,
            f"{checker.stale} answers lacked what their reader had written": checker.stale,
            f"{checker.backwards} answers were older than one before": checker.backwards,
            f"{checker.failed} reads of the database failed ({checker.failure})": checker.failed,
        }
        message = "; ".join(words for words, count in wrong.items() if count)
        if message:
            raise StoryError(message)

    def _node(self, server: Postgres) -> dict[str, Any]:
        return self.watch.nodes.get(name(server), {"usable": False, "behind": None, "statements": 0})

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
