"""How GETs of many tasks reach one server: `python -m bench.redis_wire` prints what decision 0009 rests on.

Fifty tasks, each awaiting one GET after the other, on a Valkey of this run's own. The ways take turns, round by round,
and each is divided by redis-py's figure of the same round.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import median

import redis.asyncio

from seawall.redis import Redis
from seawall.redis.link import Link
from seawall.testing.valkey import Valkey

TASKS, GETS, ROUNDS = 50, 100, 9
KEYS = [b"bench:%d" % number for number in range(1000)]
VALUE = b"x" * 200

Get = Callable[[bytes], Awaitable[object]]


async def lap(get: Get, gets: int) -> tuple[float, float]:
    """Gets a second, and the median latency in seconds."""
    latencies: list[float] = []

    async def task(first: int) -> None:
        for number in range(gets):
            began = time.perf_counter()
            await get(KEYS[(first + number) % len(KEYS)])
            latencies.append(time.perf_counter() - began)

    gc.collect()
    gc.disable()
    began = time.perf_counter()
    await asyncio.gather(*(task(17 * number) for number in range(TASKS)))
    took = time.perf_counter() - began
    gc.enable()
    return TASKS * gets / took, median(latencies)


async def pipelines(client: redis.asyncio.Redis, gets: int) -> tuple[float, float]:
    """The ceiling for who can collect its keys beforehand: fifty GETs in each of redis-py's pipelines."""
    latencies: list[float] = []
    began = time.perf_counter()
    for number in range(gets):
        sent = time.perf_counter()
        pipeline = client.pipeline(transaction=False)
        for task in range(TASKS):
            pipeline.get(KEYS[(17 * task + number) % len(KEYS)])
        await pipeline.execute()
        latencies.append(time.perf_counter() - sent)
    return TASKS * gets / (time.perf_counter() - began), median(latencies)


class UnfoldedRedis(Redis):
    """Sends every GET by itself."""

    def _make_link(self) -> Link:
        link = super()._make_link()
        link._folds = False
        return link


async def main(url: str) -> None:
    """Measure the four ways and print the table."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(redis.asyncio.Redis.from_url(url, protocol=3))
        single = await stack.enter_async_context(UnfoldedRedis(url, timeout=1.0))
        folded = await stack.enter_async_context(Redis(url, timeout=1.0))
        await asyncio.gather(*(folded.execute("SET", key, VALUE) for key in KEYS))
        ways: dict[str, Callable[[], Awaitable[tuple[float, float]]]] = {
            "redis-py": lambda: lap(peer.get, GETS // 5),
            "redis-py, pipelines of 50": lambda: pipelines(peer, GETS // 2),
            "seawall, GET each": lambda: lap(single.get, GETS),
            "seawall, one MGET a step": lambda: lap(folded.get, GETS),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number in range(ROUNDS + 1):
            for name, way in ways.items():
                figures = await way()
                if number:
                    found[name].append(figures)
    lines = [
        f"{TASKS} tasks, medians of {ROUNDS} rounds, Python {sys.version.split()[0]}",
        f"{'':28}{'gets/s':>10}{'× redis-py':>12}{'p50 ms':>10}{'× redis-py':>12}",
    ]
    for name, rounds in found.items():
        against = list(zip(rounds, found["redis-py"], strict=True))
        lines.append(
            f"{name:28}{median(each for each, _ in rounds):10,.0f}"
            f"{median(ours[0] / theirs[0] for ours, theirs in against):12.1f}"
            f"{1000 * median(each for _, each in rounds):10.2f}"
            f"{median(ours[1] / theirs[1] for ours, theirs in against):12.2f}"
        )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    with Valkey() as valkey:
        asyncio.run(main(valkey.url))
