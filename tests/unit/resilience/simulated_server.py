"""A dependency with a number of workers and a queue, called through a limit; a simulation without a loop."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from seawall.resilience import LimitAlgorithm


@dataclass
class Second:
    """What happened in one second."""

    done: int = 0
    refused: int = 0
    queue: int = 0  # the longest
    limits: list[int] = field(default_factory=list)


class Server:
    """`workers` take `latency(now)` seconds, spread by `spread`, for each call; the others queue, in order.

    load: calls that come, as a share of what the workers can do, at random times; None: as many as the limit
        admits, always. timeout: calls that take longer count as dropped (their work is done all the same).
    """

    def __init__(
        self,
        limit: LimitAlgorithm,
        *,
        workers: int,
        latency: Callable[[float], float],
        spread: Callable[[random.Random], float] = lambda _: 1.0,
        load: float | None = None,
        timeout: float = float("inf"),
        seed: int = 1,
    ) -> None:
        self.limit = limit
        self.workers = workers
        self.latency = latency
        self.spread = spread
        self.load = load
        self.timeout = timeout
        self.random = random.Random(seed)
        self.running = self.busy = 0
        self.queue: deque[tuple[float, int]] = deque()
        self.agenda: list[tuple[float, int, tuple[float, int] | None]] = []
        self.number = 0

    def run(self, seconds: int) -> list[Second]:
        """What happened in each of the seconds."""
        told = [Second() for _ in range(seconds)]
        self.plan(0.0, None)
        while self.agenda[0][0] < seconds:
            now, _, call = heapq.heappop(self.agenda)
            second = told[int(now)]
            if call is None:
                self.arrive(now, second)
            else:
                self.finish(now, call, second)
            second.queue = max(second.queue, len(self.queue))
            second.limits.append(int(self.limit.limit))
        return told

    def plan(self, at: float, call: tuple[float, int] | None) -> None:
        self.number += 1
        heapq.heappush(self.agenda, (at, self.number, call))

    def arrive(self, now: float, second: Second) -> None:
        if self.load is None:
            while self.running < int(self.limit.limit):
                self.begin(now)
            return
        if self.running < int(self.limit.limit):
            self.begin(now)
        else:
            second.refused += 1
        self.plan(now + self.random.expovariate(self.load * self.workers / self.latency(now)), None)

    def begin(self, now: float) -> None:
        self.running += 1
        self.queue.append((now, self.running))
        self.work(now)

    def work(self, now: float) -> None:
        while self.queue and self.busy < self.workers:
            self.busy += 1
            self.plan(now + self.latency(now) * self.spread(self.random), self.queue.popleft())

    def finish(self, now: float, call: tuple[float, int], second: Second) -> None:
        begun, running = call
        self.running -= 1
        self.busy -= 1
        second.done += 1
        self.limit.sample(now - begun, running, dropped=now - begun > self.timeout)
        self.work(now)
        if self.load is None:
            self.arrive(now, second)
