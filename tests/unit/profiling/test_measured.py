"""What is measured of functions, generators, blocks and routes, and that they stay what they are."""

import asyncio
import inspect
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from seawall.core import OptionError
from seawall.profiling import Kind, Profiler
from seawall.profiling.profiler import OTHER
from seawall.profiling.series import Series
from tests.unit.profiling.conftest import Bench


def served(method: str = "GET", route: str = "/things/{id}", status: int = 200, seconds: float = 0.1) -> Any:
    return SimpleNamespace(method=method, route=route, status=status, seconds=seconds)


def test_an_async_function_is_measured_with_what_it_waits_for(bench):
    @bench.profiler.measured("nap")
    async def nap(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def main() -> None:
        for step in range(1, 101):
            assert await nap(step / 10) == step / 10

    bench.run(main())
    found = bench.of("nap")
    assert (found.kind, found.count, found.failures) == (Kind.ASYNC, 100, 0)
    assert (found.min, found.max) == (pytest.approx(0.1), pytest.approx(10.0))
    assert found.avg == pytest.approx(5.05)
    assert found.p50 == pytest.approx(5.0, rel=0.02)
    assert found.p95 == pytest.approx(9.5, rel=0.02)
    assert found.p99 == pytest.approx(9.9, rel=0.02)
    assert found.busy == 0.0


def test_busy_is_how_long_an_async_function_holds_the_loop(bench):
    @bench.profiler.measured("work")
    async def work() -> None:
        bench.clock.advance(0.3)
        await asyncio.sleep(0.7)

    async def main() -> None:
        for _ in range(40):
            await work()

    bench.run(main())
    assert bench.of("work").total == pytest.approx(40.0)
    assert bench.of("work").busy == pytest.approx(12.0)


def test_many_at_once_are_measured_each(bench):
    @bench.profiler.measured("nap")
    async def nap(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def main() -> None:
        await asyncio.gather(*(nap(1 + step % 2) for step in range(300)))

    bench.run(main())
    found = bench.of("nap")
    assert (found.count, found.min, found.max) == (300, 1.0, 2.0)
    assert found.total == pytest.approx(450.0)


def test_a_function_has_its_time_and_failures(bench):
    @bench.profiler.measured("half")
    def half(number: int) -> int:
        bench.clock.advance(0.5)
        if number % 2:
            raise ValueError(number)
        return number // 2

    for number in range(20):
        if number % 2:
            with pytest.raises(ValueError, match=str(number)):
                half(number)
        else:
            assert half(number) == number // 2
    found = bench.of("half")
    assert (found.kind, found.count, found.failures, found.total) == (Kind.SYNC, 20, 10, 10.0)
    assert found.busy is not None


def test_a_failed_async_call_counts_and_a_cancelled_one_does_not_fail(bench):
    @bench.profiler.measured("call")
    async def call(fails: bool) -> None:
        await asyncio.sleep(1)
        if fails:
            raise LookupError
        await asyncio.sleep(100)

    async def main() -> None:
        for _ in range(20):
            with pytest.raises(LookupError):
                await call(True)
            task = asyncio.ensure_future(call(False))
            await asyncio.sleep(3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    bench.run(main())
    found = bench.of("call")
    assert (found.count, found.failures, found.max) == (40, 20, 3.0)


def test_a_caught_cancellation_goes_on_inside(bench):
    @bench.profiler.measured
    async def stubborn() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            return "cleaned"
        return "slept"

    async def main() -> None:
        for _ in range(20):
            task = asyncio.ensure_future(stubborn())
            await asyncio.sleep(2)
            task.cancel()
            assert await task == "cleaned"

    bench.run(main())


def test_functions_stay_what_they_are(bench):
    measured = bench.profiler.measured

    @measured
    async def asynchronous(a: int, *, b: int = 2) -> None:
        """Says what it does."""

    @measured
    def synchronous() -> None: ...

    @measured
    def generates() -> Any:
        yield

    class Store:
        @staticmethod
        @measured
        def static() -> str:
            return "static"

        @measured
        def method(self) -> "Store":
            return self

    assert inspect.iscoroutinefunction(asynchronous)
    assert not inspect.iscoroutinefunction(synchronous)
    assert inspect.isgeneratorfunction(generates)
    assert str(inspect.signature(asynchronous)) == "(a: int, *, b: int = 2) -> None"
    assert asynchronous.__doc__ == "Says what it does."
    store = Store()
    assert (Store.static(), store.method()) == ("static", store)
    assert {name.rpartition("<locals>.")[2] for name in bench.names} == {"Store.static", "Store.method"}


def test_the_end_of_an_iterator_is_no_failure(bench):
    class Countdown:
        @bench.profiler.measured("next")
        def __next__(self) -> int:
            raise StopIteration

        def __iter__(self) -> "Countdown":
            return self

    assert list(Countdown()) == []
    assert (bench.of("next").count, bench.of("next").failures) == (1, 0)


def test_a_block_is_measured(bench):
    with bench.profiler.measuring("render"):
        bench.clock.advance(2)
    with pytest.raises(LookupError), bench.profiler.measuring("render"):
        raise LookupError
    found = bench.of("render")
    assert (found.kind, found.count, found.failures, found.total, found.busy) == (Kind.BLOCK, 2, 1, 2.0, None)


def test_routes_are_measured(bench):
    for status in (200, 404, 499, 500):
        bench.profiler.served([served(status=status)] * 2)
    found = bench.of("GET /things/{id}")
    assert (found.kind, found.count, found.failures) == (Kind.ROUTE, 8, 2)


def test_made_up_methods_have_one_name(bench):
    for number in range(50):
        bench.profiler.served([served(method=f"X{number}")])
    assert bench.names == {"OTHER /things/{id}"}


def test_names_are_bounded():
    bench = Bench(most_names=3)

    @bench.profiler.measured("function")
    def function() -> None: ...

    for number in range(500):
        bench.profiler.record(f"name {number}", 1.0)
        bench.profiler.served([served(route=f"/made/up/{number}", seconds=1.0)])
    function()
    assert bench.names == {"function", "name 0", "GET /made/up/0", OTHER}
    assert bench.of(OTHER).count == 998


def test_stopped_it_measures_nothing_and_started_it_does_again(bench):
    @bench.profiler.measured("f")
    async def function() -> str:
        return "done"

    def use() -> None:
        assert bench.run(function()) == "done"
        bench.profiler.record("r", 1.0)
        bench.profiler.served([served()])
        with bench.profiler.measuring("b"):
            pass

    bench.profiler.stop()
    use()
    assert bench.names == set()
    bench.profiler.start()
    use()
    assert bench.names == {"f", "r", "b", "GET /things/{id}"}


def test_reset_forgets(bench):
    @bench.profiler.measured("f")
    def function() -> None:
        bench.clock.advance(5)

    function()
    bench.profiler.record("r", 1.0)
    bench.profiler.reset()
    assert bench.names == set()
    function()
    assert (bench.of("f").count, bench.of("f").total) == (1, 5.0)


def test_threads_lose_nothing(bench):
    @bench.profiler.measured("f")
    def function() -> None: ...

    def work() -> None:
        for _ in range(5_000):
            function()
            bench.profiler.record("r", 0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        bench.profiler.statistics()
    for thread in threads:
        thread.join()
    assert (bench.of("f").count, bench.of("r").count) == (20_000, 20_000)


def test_what_comes_while_calls_are_counted_is_counted_next():
    class Racing(list[float]):
        def __getitem__(self, part: Any) -> Any:
            found = super().__getitem__(part)
            self.append(9.0)
            return found

    series = Series("r", Kind.RECORDED)
    series.took = Racing([1.0])
    series.fold()
    assert list(series.took) == [9.0]


def test_statistics_as_a_dictionary(bench):
    bench.profiler.record("r", 0.25)
    assert bench.of("r").as_dict() == {
        "name": "r", "kind": "recorded", "count": 1, "failures": 0, "total": 0.25, "avg": 0.25, "min": 0.25,
        "max": 0.25, "p50": 0.25, "p95": 0.25, "p99": 0.25, "busy": None,
    }  # fmt: skip


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_impossible_durations_are_refused(bench, seconds):
    with pytest.raises(OptionError, match="seconds"):
        bench.profiler.record("r", seconds)


@pytest.mark.parametrize("name", ["", "  ", None, 7])
def test_impossible_names_are_refused(bench, name):
    with pytest.raises(OptionError):
        bench.profiler.record(name, 1.0)
    with pytest.raises(OptionError):
        bench.profiler.measured(name)(print)


@pytest.mark.parametrize("function", [int, staticmethod(print).__class__, 7])
def test_what_is_no_function_is_refused(bench, function):
    with pytest.raises(OptionError, match="function"):
        bench.profiler.measured("name")(function)


@pytest.mark.parametrize("options", [{"most_names": 0}, {"most_names": 1.5}, {"stall_after": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(OptionError):
        Profiler(**options)


def test_what_waits_is_counted_by_whether_it_was_measured_when_it_came(bench):
    waiting: list[Any] = []

    def count() -> None:
        if waiting:
            bench.profiler.served(waiting)
        waiting.clear()

    bench.profiler.before_statistics(count)
    waiting += [served()] * 3
    bench.profiler.stop()
    waiting += [served()] * 5
    bench.profiler.start()
    assert bench.of("GET /things/{id}").count == 3
    waiting += [served()] * 2
    bench.profiler.reset()
    assert bench.names == set()
