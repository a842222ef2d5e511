"""The cache for functions that are no coroutines: from a worker thread, on the loop, and without one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seawall.cache.errors import UnserializableError
from seawall.cache.flight import circular
from seawall.cache.given import tags_of
from seawall.cache.loading import MISSING, Load, under_way
from seawall.cache.node import Raised
from seawall.cache.values import opened, same
from seawall.core import deadline
from seawall.core.options import number

if TYPE_CHECKING:
    from seawall.cache.cache import Cache
    from seawall.cache.fill import Order
    from seawall.cache.shared import Interest


LOOK = 1.0
"""Seconds after which a waiting thread looks whether the loop it waits for is still there."""


class _Turn:
    __slots__ = ("count", "holder", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.holder: int | None = None


class Turns:
    """One lock per key, for as long as somebody holds or awaits it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turns: dict[str, _Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        with self._guard:
            turn = self._turns.setdefault(key, _Turn())
            if turn.holder == threading.get_ident():
                raise circular(key)
            turn.count += 1
        try:
            with turn.lock:
                turn.holder = threading.get_ident()
                try:
                    yield
                finally:
                    turn.holder = None
        finally:
            with self._guard:
                turn.count -= 1
                if not turn.count:
                    del self._turns[key]

    def __call__(self, key: str) -> AbstractContextManager[None]:
        """Wait for the turn to load `key`, for this block. Raises `RecursionError` where this thread has it."""
        return self._turn(key)


def threaded(order: Order) -> Order:
    """`order` with its loader in a thread of its own."""
    return replace(order, loader=lambda: _in_thread(order.loader))


def _called(function: Callable[[], Any]) -> Any:
    value = function()
    if inspect.iscoroutine(value):
        value.close()
        raise UnserializableError("coroutine", "the function returns one and is no `async def`; make it one")
    return value


async def _in_thread(function: Callable[[], Any]) -> Any:
    # Not in the loop's executor: all its workers may be waiting for this very result.
    result: concurrent.futures.Future[Any] = concurrent.futures.Future()
    context = copy_context()

    def work() -> None:
        result.set_running_or_notify_cancel()
        try:
            result.set_result(context.run(_called, function))
        except StopIteration as error:  # which no future takes
            stopped = RuntimeError("the function raised StopIteration")
            stopped.__cause__ = error
            result.set_exception(stopped)
        except BaseException as error:  # noqa: BLE001 - it is the waiter's
            result.set_exception(error)

    threading.Thread(target=work, name="seawall-cache-load").start()
    return await asyncio.wrap_future(result)


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
            node.hits += 1.0
            return opened(node.value)
        return _here(cache, order)


def _here(cache: Cache, order: Order) -> Any:
    with cache.shared.interest(order.key) as interest:
        return _load_here(cache, order, interest)


def _load_here(cache: Cache, order: Order, interest: Interest) -> Any:
    version = cache.shared.next_version()
    began = cache.clock.monotonic()
    node = cache.memory.nodes.get(order.key)
    order.meter.misses += 1
    order.meter.expired += node is not None and node.fresh_until <= began
    order.meter.loads += 1
    seen = None if node is None or type(node.value) is Raised else node
    load = Load(order.key, MISSING if seen is None else opened(seen.value), None if seen is None else seen.validator)
    raised: Exception | None = None
    try:
        with under_way(load):
            value = _called(order.loader)
    except Exception as error:
        if not isinstance(error, order.freshness.negative_errors):
            order.meter.failed += 1
            now = cache.clock.monotonic()
            if node is None or now >= node.fresh_until + order.freshness.fail_safe:
                raise
            order.meter.fail_safes += 1
            cache.memory.rest(order.key, now + order.freshness.fail_safe_for)
            return opened(node.value)
        value, raised = Raised(error), error
    now = cache.clock.monotonic()
    order.meter.load_times.add(now - began)
    negative = (value is None or raised is not None) and order.freshness.negative_ttl is not None
    ttl = load.ttl if load.ttl is not None else order.freshness.negative_ttl if negative else order.ttl
    if load.ttl is not None:
        number("Load", "ttl", load.ttl)
    tags = (*order.tags, *tags_of("Load", load.tags))
    lifetime = order.freshness.lifetime(ttl)
    kept = cache.values.kept(order.key, value, order.type, encode=False)
    if node is not None:
        order.meter.reloads += 1
        if same(node.value, kept.value):
            order.meter.unchanged += 1
    too_large = cache.values.too_large(order.key, kept) is not None
    order.meter.refused += too_large
    changed = version < interest.floor or cache.shared.is_void(tags, version)
    if lifetime > 0 and not too_large and not changed:
        cache.memory.put(
            order.key,
            kept.value,
            version=version,
            stored=now,
            fresh_until=now + lifetime,
            freshness=order.freshness,
            meter=order.meter,
            tags=tags,
            validator=load.validator,
            size=cache.values.size(kept),
        )
    if raised is not None:
        raise raised
    return value


def _in_loop(cache: Cache, order: Order, loop: asyncio.AbstractEventLoop) -> Any:
    result: concurrent.futures.Future[Any] = concurrent.futures.Future()
    context = copy_context()

    def begin() -> None:
        task = loop.create_task(cache.reader.answer(threaded(order)), context=context)
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
    while True:
        left = deadline.remaining(clock=cache.clock)
        try:
            return result.result(LOOK if left is None else min(left, LOOK))
        except TimeoutError:
            if result.done():  # the error is the loader's, or the result has come at the last moment
                return result.result()
            if left is not None and left <= LOOK:
                result.cancel()
                raise
            if not loop.is_running():
                message = f"the event loop of cache {cache.name!r} ended before {order.key!r} was loaded"
                raise RuntimeError(message) from None
