"""What is measured of generators of both kinds: their own time, not that of who reads them."""

import asyncio
import inspect
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from seawall.profiling import Kind


def test_a_generator_is_measured_without_who_reads_it(bench):
    @bench.profiler.measured("numbers")
    def numbers() -> Any:
        got = []
        for number in range(3):
            bench.clock.advance(1)
            got.append((yield number))
        return got

    @contextmanager
    def reading() -> Any:
        yield numbers()

    for _ in range(2):
        with reading() as made:
            assert next(made) == 0
            bench.clock.advance(50)
            assert made.send("a") == 1
            assert made.send("b") == 2
            with pytest.raises(StopIteration) as stopped:
                made.send("c")
            assert stopped.value.value == ["a", "b", "c"]
    found = bench.of("numbers")
    assert (found.kind, found.count, found.total) == (Kind.GENERATOR, 2, 6.0)


def test_a_generator_hears_of_errors_and_of_its_end(bench):
    heard = []

    @bench.profiler.measured("listens")
    def listens() -> Any:
        try:
            while True:
                try:
                    yield "more"
                except ArithmeticError:
                    heard.append("key")
        finally:
            heard.append("end")

    made = listens()
    assert next(made) == "more"
    assert made.throw(ArithmeticError()) == "more"
    with pytest.raises(LookupError):
        made.throw(LookupError())
    other = listens()
    next(other)
    other.close()
    assert heard == ["key", "end", "end"]
    assert (bench.of("listens").count, bench.of("listens").failures) == (2, 1)


def test_an_async_generator_is_measured_without_who_reads_it(bench):
    @bench.profiler.measured("pages")
    async def pages() -> Any:
        for page in range(3):
            await asyncio.sleep(1)
            bench.clock.advance(1)
            yield page

    async def main() -> None:
        assert inspect.isasyncgenfunction(pages)
        read = []
        async for page in pages():
            await asyncio.sleep(50)
            read.append(page)
        assert read == [0, 1, 2]

    bench.run(main())
    found = bench.of("pages")
    assert (found.kind, found.count, found.total) == (Kind.ASYNC_GENERATOR, 1, 6.0)


def test_an_async_generator_works_as_a_context_manager(bench):
    journal = []

    @asynccontextmanager
    @bench.profiler.measured("transaction")
    async def transaction() -> Any:
        try:
            journal.append(await asyncio.sleep(1, "begin"))
            yield "handle"
            journal.append("commit")
        except ArithmeticError:
            journal.append("forgiven")
        finally:
            await asyncio.sleep(1)
            journal.append("end")

    async def main() -> None:
        async with transaction() as handle:
            assert handle == "handle"
        async with transaction():
            raise ArithmeticError
        with pytest.raises(LookupError):
            async with transaction():
                raise LookupError

    bench.run(main())
    assert journal == ["begin", "commit", "end", "begin", "forgiven", "end", "begin", "end"]
    found = bench.of("transaction")
    assert (found.count, found.failures, found.total) == (3, 1, 6.0)


def test_an_async_generator_left_early_is_closed(bench):
    journal = []

    @bench.profiler.measured("rows")
    async def rows() -> Any:
        try:
            yield 1
            yield 2
        finally:
            journal.append(await asyncio.sleep(1, "closed"))

    async def main() -> None:
        reading = rows()
        assert await anext(reading) == 1
        await reading.aclose()
        assert journal == ["closed"]

    bench.run(main())
    assert (bench.of("rows").count, bench.of("rows").failures) == (1, 0)
