import asyncio
import functools
import inspect
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from seawall.resilience import CircuitBreaker, CircuitOpenError, CircuitState
from seawall.testing import FakeClock, virtual_time

Run = Callable[[Exception | None], Awaitable[str]]


async def work(error: Exception | None) -> str:
    await asyncio.sleep(0)
    return blocking_work(error)


def blocking_work(error: Exception | None) -> str:
    if error is not None:
        raise error
    return "ok"


def coroutine_function(breaker: CircuitBreaker) -> Run:
    return breaker(work)


def function(breaker: CircuitBreaker) -> Run:
    decorated = breaker(blocking_work)

    async def run(error: Exception | None) -> str:
        return decorated(error)

    return run


def async_generator(breaker: CircuitBreaker) -> Run:
    @breaker
    async def stream(error: Exception | None) -> AsyncIterator[str]:
        yield "o"
        yield (await work(error))[1:]

    async def run(error: Exception | None) -> str:
        return "".join([part async for part in stream(error)])

    return run


def generator(breaker: CircuitBreaker) -> Run:
    @breaker
    def stream(error: Exception | None) -> Iterator[str]:
        yield "o"
        yield blocking_work(error)[1:]

    async def run(error: Exception | None) -> str:
        return "".join(stream(error))

    return run


def called(breaker: CircuitBreaker) -> Run:
    return lambda error: breaker.call(work, error)


def called_function(breaker: CircuitBreaker) -> Run:
    async def run(error: Exception | None) -> str:
        return breaker.call(blocking_work, error)

    return run


def called_partial(breaker: CircuitBreaker) -> Run:
    return lambda error: breaker.call(functools.partial(work, error))


def guarded(breaker: CircuitBreaker) -> Run:
    async def run(error: Exception | None) -> str:
        with breaker.guard():
            return blocking_work(error)

    return run


def async_guarded(breaker: CircuitBreaker) -> Run:
    async def run(error: Exception | None) -> str:
        async with breaker.guard():
            return await work(error)

    return run


def method(breaker: CircuitBreaker) -> Run:
    class Client:
        @breaker
        async def fetch(self, error: Exception | None) -> str:
            return await work(error)

    return Client().fetch


def static_method(breaker: CircuitBreaker) -> Run:
    class Client:
        @staticmethod
        @breaker
        async def fetch(error: Exception | None) -> str:
            return await work(error)

    return Client.fetch


def callable_object(breaker: CircuitBreaker) -> Run:
    class Fetch:
        async def __call__(self, error: Exception | None) -> str:
            return await work(error)

    return breaker(Fetch())


FACES = [
    coroutine_function,
    function,
    async_generator,
    generator,
    called,
    called_function,
    called_partial,
    guarded,
    async_guarded,
    method,
    static_method,
    callable_object,
]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("options", [{}, {"slow_call": 5.0}, {"mode": "time"}, {"mode": "time", "slow_call": 5.0}])
def test_every_face_opens_refuses_tries_and_closes(face, options):
    clock = FakeClock()
    breaker = CircuitBreaker(minimum_calls=4, open_for=10, successes=2, clock=clock, **options)
    run = face(breaker)

    async def main() -> None:
        for _ in range(2):
            assert await run(None) == "ok"
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await run(ConnectionError())
        assert breaker.state is CircuitState.OPEN
        with pytest.raises(CircuitOpenError, match=r"next trial call in 10\.0 s"):
            await run(None)
        await asyncio.sleep(10)
        assert await run(None) == "ok"
        assert breaker.statistics().state is CircuitState.HALF_OPEN
        assert await run(None) == "ok"
        assert breaker.statistics().state is CircuitState.CLOSED
        assert await run(None) == "ok"
        statistics = breaker.statistics()
        assert (statistics.calls, statistics.failed, statistics.rejected, statistics.opened) == (1, 0, 1, 1)

    virtual_time.run(main(), clock=clock)


@pytest.mark.parametrize("face", FACES)
def test_the_error_is_the_functions_own_with_its_own_traceback(face):
    run = face(CircuitBreaker())
    error = ConnectionError("down")
    with pytest.raises(ConnectionError) as caught:
        virtual_time.run(run(error))
    assert caught.value is error
    assert error.__context__ is None
    assert traceback.extract_tb(error.__traceback__)[-1].name == "blocking_work"


class TestSignature:
    def test_name_docstring_and_signature_stay(self):
        async def fetch(path: str, /, *rest: int, timeout: float = 1.0, **more: str) -> bytes:
            """Fetch it."""
            return b""

        decorated = CircuitBreaker()(fetch)
        assert decorated.__name__ == "fetch"
        assert decorated.__doc__ == "Fetch it."
        assert decorated.__module__ == __name__
        assert decorated.__wrapped__ is fetch  # type: ignore[attr-defined]
        assert inspect.signature(decorated) == inspect.signature(fetch)
        assert inspect.iscoroutinefunction(decorated)

    def test_generator_functions_stay_generator_functions(self):
        async def stream() -> AsyncIterator[int]:
            yield 1

        def numbers() -> Iterator[int]:
            yield 1

        assert inspect.isasyncgenfunction(CircuitBreaker()(stream))
        assert inspect.isgeneratorfunction(CircuitBreaker()(numbers))

    def test_arguments_arrive_as_they_were_given(self):
        marker = object()

        @CircuitBreaker(slow_call=1.0)
        def call(a: Any, b: Any = marker, /, c: Any = 3, *args: Any, d: Any, e: Any = marker, **kwargs: Any) -> Any:
            return a, b, c, args, d, e, kwargs

        assert call(1, d=4) == (1, marker, 3, (), 4, marker, {})
        assert call(1, 2, 30, 31, 32, d=4, e=5, f=6, a=7) == (1, 2, 30, (31, 32), 4, 5, {"f": 6, "a": 7})

    def test_wrong_arguments_are_a_type_error_and_no_failure(self):
        breaker = CircuitBreaker()

        @breaker
        def call(a: int) -> int:
            return a

        with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
            call()  # type: ignore[call-arg]
        assert breaker.statistics().calls == 0

    @pytest.mark.parametrize(
        "name",
        [
            *("result", "fn", "self", "dict", "item", "items", "delivered", "coroutine", "refuse", "call", "bind"),
            *("window_0", "circuit_0", "admit_0", "error_0", "start_0", "clock_0", "generation_0", "failed_0"),
            *("record_0", "on_error_0", "default_0", "aclosing", "closing", "args", "kwargs", "True_"),
        ],
    )
    @pytest.mark.parametrize("kind", ["async def", "def"])
    def test_no_name_of_a_parameter_collides_with_woven_names(self, name, kind):
        namespace: dict[str, Any] = {}
        exec(f"{kind} call({name}, other={{}}.get, *, last='z'):\n    return {name}, last", namespace)
        breaker = CircuitBreaker(slow_call=1.0, failed_result=lambda result: False, minimum_calls=1)
        call = breaker(namespace["call"])

        def value(outcome: Any) -> Any:
            return asyncio.run(outcome) if inspect.iscoroutine(outcome) else outcome

        assert value(call("x")) == ("x", "z")
        assert value(call(**{name: "x", "last": "y"})) == ("x", "y")
        assert breaker.statistics().calls == 2


class TestRefusedDecorations:
    def test_what_is_not_callable(self):
        with pytest.raises(TypeError, match=r"decorates a function, got 3 \(int\)"):
            CircuitBreaker()(3)  # type: ignore[type-var]

    def test_the_result_of_calling_a_coroutine_function(self):
        with pytest.raises(TypeError, match=r"takes a function, got the result of calling work\(\); pass work itself"):
            CircuitBreaker()(work(None))  # type: ignore[type-var,unused-coroutine]

    def test_a_class(self):
        with pytest.raises(TypeError, match="decorates a function, got the class FakeClock"):
            CircuitBreaker()(FakeClock)

    @pytest.mark.parametrize("kind", [staticmethod, classmethod])
    def test_a_static_or_class_method(self, kind):
        message = rf"CircuitBreaker\('api'.* decorates a function, got a {kind.__name__}; put @{kind.__name__} above it"
        with pytest.raises(TypeError, match=message):
            CircuitBreaker("api")(kind(work))

    @pytest.mark.parametrize("name", [3, "", b"api"])
    def test_a_name_that_is_no_text(self, name):
        with pytest.raises(TypeError, match=r"CircuitBreaker: the name is .*; allowed: a string that is not empty"):
            CircuitBreaker(name)
