"""Streams and guarded blocks: what is handed out is handed out once, and what was held is given back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from seawall.resilience import (
    Bulkhead,
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreaker,
    Fallback,
    Hedge,
    Pipeline,
    Retry,
    Timeout,
    deadline,
)
from seawall.testing import virtual_time


class Source:
    """A stream that fails at item number `fails_at` in each of its first `failures` runs, and knows its ends."""

    def __init__(self, *, fails_at: int = -1, failures: int = 0, items: int = 4) -> None:
        self.fails_at = fails_at
        self.failures = failures
        self.items = items
        self.begun = 0
        self.ended = 0

    async def stream(self) -> AsyncIterator[int]:
        self.begun += 1
        try:
            for item in range(self.items):
                if item == self.fails_at and self.begun <= self.failures:
                    raise ConnectionError(item)
                await asyncio.sleep(0.1)
                yield item
        finally:
            self.ended += 1

    def blocking(self) -> Iterator[int]:
        self.begun += 1
        try:
            for item in range(self.items):
                if item == self.fails_at and self.begun <= self.failures:
                    raise ConnectionError(item)
                yield item
        finally:
            self.ended += 1


def policies(slots: Bulkhead) -> Pipeline:
    return Pipeline("p", slots, Timeout(60), Retry(on=ConnectionError, first_delay=0.0), CircuitBreaker(), Timeout(5))


async def collect(stream: AsyncIterator[int], into: list[int]) -> None:
    async for item in stream:
        into.append(item)  # noqa: PERF401 - what came before an error counts


def both(source: Source, slots: Bulkhead, blocking: bool) -> list[int]:
    """The items handed out, however the stream ends."""
    items: list[int] = []
    if blocking:
        for item in policies(slots)(source.blocking)():
            items.append(item)  # noqa: PERF402
    else:
        virtual_time.run(collect(policies(slots)(source.stream)(), items))
    return items


@pytest.mark.parametrize("blocking", [True, False])
def test_stream_that_fails_before_its_first_item_is_repeated(blocking: bool) -> None:
    source, slots = Source(fails_at=0, failures=2), Bulkhead(1)
    assert both(source, slots, blocking) == [0, 1, 2, 3]
    assert (source.begun, source.ended, slots.permits.in_use) == (3, 3, 0)


@pytest.mark.parametrize("blocking", [True, False])
def test_nothing_is_handed_out_twice(blocking: bool) -> None:
    source, slots = Source(fails_at=2, failures=2), Bulkhead(1)
    with pytest.raises(ConnectionError):
        both(source, slots, blocking)
    assert (source.begun, source.ended, slots.permits.in_use) == (1, 1, 0)


async def leave_by_break(stream: Any) -> None:
    async for _ in stream:
        break
    await stream.aclose()


async def leave_by_throw(stream: Any) -> None:
    await anext(stream)
    with pytest.raises(ZeroDivisionError):
        await stream.athrow(ZeroDivisionError())


async def leave_by_cancellation(stream: Any) -> None:
    task = asyncio.create_task(collect(stream, []))
    await asyncio.sleep(0.15)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_throw, leave_by_cancellation])
def test_stream_left_early_closes_the_inner_one_and_holds_nothing(leave: Callable[[Any], Any]) -> None:
    source, slots = Source(), Bulkhead(1)
    breaker = CircuitBreaker(minimum_calls=1, failure_rate=0.01)

    async def main() -> None:
        stream = Pipeline("p", slots, Timeout(60), Retry(on=OSError), breaker, Timeout(5))(source.stream)()
        await leave(stream)
        assert (source.begun, source.ended, slots.permits.in_use) == (1, 1, 0)

    virtual_time.run(main())
    if leave is not leave_by_throw:
        assert breaker.state == "closed"


def test_blocking_stream_left_early_closes_the_inner_one() -> None:
    source, slots = Source(), Bulkhead(1)
    stream: Any = policies(slots)(source.blocking)()
    assert (next(stream), slots.permits.in_use) == (0, 1)
    stream.close()
    assert (source.ended, slots.permits.in_use) == (1, 0)
    stream = policies(slots)(source.blocking)()
    next(stream)
    with pytest.raises(ZeroDivisionError):
        stream.throw(ZeroDivisionError())
    assert (source.ended, slots.permits.in_use) == (2, 0)


def test_alternative_stream_left_early_is_closed_at_once() -> None:
    source = Source()

    async def fails() -> AsyncIterator[int]:
        raise ConnectionError
        yield

    def fails_blocking() -> Iterator[int]:
        raise ConnectionError
        yield

    async def main() -> None:
        stream: Any = Fallback(source.stream, on=ConnectionError)(fails)()
        assert await anext(stream) == 0
        await stream.aclose()
        assert (source.begun, source.ended) == (1, 1)

    virtual_time.run(main())
    stream: Any = Fallback(source.blocking, on=ConnectionError)(fails_blocking)()
    held = [next(stream)]
    stream.close()
    assert (held, source.ended) == ([0], 2)


def test_consumers_time_is_not_the_streams() -> None:
    source = Source()

    async def main() -> list[int]:
        items = []
        async for item in Pipeline("p", Timeout(1.0), Retry(on=OSError), Timeout(0.5))(source.stream)():
            assert deadline.remaining() is None
            await asyncio.sleep(10)
            items.append(item)
        return items

    assert virtual_time.run(main()) == [0, 1, 2, 3]


@pytest.mark.parametrize("blocking", [True, False])
def test_guard_holds_what_its_policies_hold(blocking: bool) -> None:
    slots, breaker = Bulkhead(1), CircuitBreaker.consecutive(failures=2)
    policy = Pipeline("p", slots, breaker, Timeout(1.0))

    def blocks(error: type[BaseException] | None) -> None:
        with policy.guard():
            assert slots.permits.in_use == 1
            with pytest.raises(BulkheadFullError), policy.guard():
                pass
            if error is not None:
                raise error

    async def awaits(error: type[BaseException] | None) -> None:
        async with policy.guard():
            assert slots.permits.in_use == 1
            if error is not None:
                raise error

    def once(error: type[BaseException] | None) -> None:
        if blocking:
            blocks(error)
        else:
            virtual_time.run(awaits(error))

    once(None)
    for error in (OSError, KeyboardInterrupt, OSError):
        assert breaker.state == "closed"
        with pytest.raises(error):
            once(error)
        assert slots.permits.in_use == 0
    assert breaker.state == "open"


def test_guard_bounds_its_block() -> None:
    async def main() -> None:
        with pytest.raises(CallTimeoutError):
            async with Timeout(1.0).guard():
                await asyncio.sleep(2)
        assert deadline.remaining() is None

    virtual_time.run(main())


@pytest.mark.parametrize("policy", [Retry(on=OSError), Hedge(delay=1), Fallback.value(1, on=OSError)])
def test_what_repeats_a_call_guards_no_block(policy: Any) -> None:
    for member in (policy, Pipeline("p", Timeout(1.0), policy)):
        with pytest.raises(TypeError, match="can't guard a block; decorate a function"):
            member.guard()


def test_guard_is_for_one_block() -> None:
    slots = Bulkhead(5)
    guard = slots.guard()
    with guard, pytest.raises(RuntimeError, match=r"entered a second time; call guard\(\) for each block"), guard:
        pass
    assert slots.permits.in_use == 0
