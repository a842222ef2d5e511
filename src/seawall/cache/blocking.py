"""The cache for functions that are no coroutines: from a worker thread, on the loop, and without one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seawall.cache.values import Raised, opened, same
from seawall.core import deadline

if TYPE_CHECKING:
    from seawall.cache.cache import Cache
    from seawall.cache.fill import Order


class Turns:
    """One lock per key, for as long as somebody holds or awaits it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        with self._guard:
            lock, count = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = lock, count + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                count = self._locks[key][1] - 1
                if count:
                    self._locks[key] = lock, count
                else:
                    del self._locks[key]

    def __call__(self, key: str) -> AbstractContextManager[None]:
        """Wait for the turn to load `key`, for this block."""
        return self._turn(key)


def answer(cache: Cache, order: Order, loop: asyncio.AbstractEventLoop | None, turns: Turns) -> Any:
    """The value of `order.key`, which memory does not have fresh, for a caller that can't await.

    In a worker thread, the cache's loop answers, and the loader runs in a thread of its own. On the loop's own
    thread, or without a loop, the loader runs here and now, and memory alone keeps the result.
    """
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if loop is not None and running is None and loop.is_running():
        return _in_loop(cache, order, loop)
    if running is not None:
        return _here(cache, order)
    with turns(order.key):
        node = cache.reader.fresh(order.key)
        if node is not None:
            node.hits += 1
            return opened(node.value)
        return _here(cache, order)


def _here(cache: Cache, order: Order) -> Any:
    version = cache.shared.next_version()
    began = cache.clock.monotonic()
    node = cache.memory.nodes.get(order.key)
    order.meter.misses += 1
    order.meter.expired += node is not None and node.fresh_until <= began
    order.meter.loads += 1
    raised: Exception | None = None
    try:
        value = order.loader()
    except Exception as error:
        if not isinstance(error, order.freshness.negative_errors):
            order.meter.failed += 1
            raise
        value, raised = Raised(error), error
    now = cache.clock.monotonic()
    order.meter.load_times.add(now - began)
    negative = (value is None or raised is not None) and order.freshness.negative_ttl is not None
    ttl = order.freshness.negative_ttl if negative else order.ttl
    lifetime = order.freshness.lifetime(ttl)
    kept = cache.values.kept(order.key, value, order.type, encode=False)
    if node is not None:
        order.meter.reloads += 1
        order.meter.unchanged += same(node.value, kept.value)
    too_large = cache.values.too_large(order.key, kept) is not None
    order.meter.refused += too_large
    if lifetime > 0 and not too_large and not cache.shared.is_void(order.tags, version):
        cache.memory.put(
            order.key,
            kept.value,
            version=version,
            stored=now,
            fresh_until=now + lifetime,
            freshness=order.freshness,
            meter=order.meter,
            tags=order.tags,
            size=cache.values.size(kept),
        )
    if raised is not None:
        raise raised
    return value


def _in_loop(cache: Cache, order: Order, loop: asyncio.AbstractEventLoop) -> Any:
    result: concurrent.futures.Future[Any] = concurrent.futures.Future()
    context = copy_context()
    threaded = replace(order, loader=lambda: asyncio.to_thread(order.loader))

    def begin() -> None:
        task = loop.create_task(cache.reader.answer(threaded), context=context)
        task.add_done_callback(end)
        result.add_done_callback(lambda _: loop.call_soon_threadsafe(task.cancel) if result.cancelled() else None)

    def end(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            result.cancel()
        elif not result.cancelled():
            error = task.exception()
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(task.result())

    loop.call_soon_threadsafe(begin)
    try:
        return result.result(deadline.remaining(clock=cache.clock))
    except TimeoutError:
        result.cancel()
        raise
