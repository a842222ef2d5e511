"""Processes that share a cache, driven from one: each runs jobs it is sent, on an event loop of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from seawall.cache import Cache, Freshness, MemoryTier, RedisTier

_spawn = multiprocessing.get_context("spawn")

Job = Callable[..., Awaitable[Any]]


class Locks:
    """A lock per key among processes, which nobody waits for."""

    def __init__(self, keys: int) -> None:
        self._guard = _spawn.Lock()
        self._taken = _spawn.Array("b", keys, lock=False)

    def take(self, index: int) -> bool:
        """Whether the lock is ours now."""
        with self._guard:
            free = not self._taken[index]
            self._taken[index] = 1
            return free

    def give(self, index: int) -> None:
        """Give it back."""
        self._taken[index] = 0


class Worker:
    """What a job works with: the process's cache, the truth that all processes share, and its counters.

    truth: the source that is loaded from, a number per key. loads: how often it was, in all processes.
    """

    def __init__(self, number: int, cache: Cache, truth: Any, loads: Any, locks: Locks) -> None:
        self.number = number
        self.cache = cache
        self.truth = truth
        self.loads = loads
        self.locks = locks

    def loader(self, index: int, seconds: float = 0.0) -> Callable[[], Awaitable[int]]:
        """Loads what is true of key `index`, after which it takes `seconds` to answer."""

        async def load() -> int:
            with self.loads.get_lock():
                self.loads.value += 1
            value = int(self.truth[index])
            if seconds:
                await asyncio.sleep(seconds)
            return value

        return load


def _main(
    number: int, url: str, options: dict[str, Any], truth: Any, loads: Any, locks: Locks, orders: Connection
) -> None:
    async def run() -> None:
        tier = RedisTier(url, namespace="processes", **options)
        async with Cache(MemoryTier(max_entries=5_000), tier, freshness=Freshness(ttl=600.0)) as cache:
            worker = Worker(number, cache, truth, loads, locks)
            loop = asyncio.get_running_loop()
            jobs: asyncio.Queue[tuple[Job, tuple[Any, ...]] | None] = asyncio.Queue()

            def receive() -> None:
                try:
                    jobs.put_nowait(orders.recv())
                except (EOFError, ConnectionError):
                    loop.remove_reader(orders.fileno())
                    jobs.put_nowait(None)

            loop.add_reader(orders.fileno(), receive)
            orders.send(os.getpid())
            while (order := await jobs.get()) is not None:
                job, args = order
                try:
                    orders.send(await job(worker, *args))
                except BrokenPipeError:
                    return  # the test has ended
                except Exception as error:  # noqa: BLE001 - the parent raises it
                    orders.send(error)

    asyncio.run(run())


class Processes:
    """`count` processes that share the cache at `url`."""

    def __init__(self, url: str, count: int, keys: int, options: dict[str, Any]) -> None:
        self.truth = _spawn.Array("q", keys)
        self.loads = _spawn.Value("q", 0)
        self.locks = Locks(keys)
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(count):
            ours, theirs = _spawn.Pipe()
            process = _spawn.Process(
                target=_main, args=(number, url, options, self.truth, self.loads, self.locks, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self.pids = [pipe.recv() for pipe in self._pipes]

    def send(self, job: Job, *args: Any) -> None:
        """Have every process run `job`."""
        for pipe in self._pipes:
            pipe.send((job, args))

    def send_to(self, number: int, job: Job, *args: Any) -> None:
        """Have one process run `job`."""
        self._pipes[number].send((job, args))

    def receive(self, number: int, timeout: float = 60.0) -> Any:
        """What the job of one process returned; raises what it raised."""
        if not self._pipes[number].poll(timeout):
            message = f"process {number} did not answer within {timeout:g} s"
            raise TimeoutError(message)
        result = self._pipes[number].recv()
        if isinstance(result, Exception):
            raise result
        return result

    def run(self, job: Job, *args: Any, timeout: float = 60.0) -> list[Any]:
        """Have every process run `job`; what each returned."""
        self.send(job, *args)
        return [self.receive(number, timeout) for number in range(len(self._pipes))]

    def kill(self, number: int) -> None:
        """SIGKILL one of them."""
        self._processes[number].kill()
        self._processes[number].join()

    def stop(self) -> None:
        """End them all."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5.0)
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def processes(url: str, *, count: int = 4, keys: int = 1, **options: Any) -> Iterator[Processes]:
    """`count` processes for a block. options: those of `RedisTier`."""
    running = Processes(url, count, keys, options)
    try:
        yield running
    finally:
        running.stop()


def until(moment: float) -> float:
    """Seconds from now until `moment` of `time.time()`, which all processes of a machine share."""
    return max(0.0, moment - time.time())
