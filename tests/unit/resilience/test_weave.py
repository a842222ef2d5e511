"""The weaver: every face of a function, its signature, and what a reader and a traceback see."""

import ast
import asyncio
import functools
import inspect
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from seawall.resilience import Bulkhead, Chaos, CircuitBreaker, Fallback, Pipeline, RateLimit, Retry, Timeout
from seawall.testing import virtual_time


def pipeline() -> Pipeline:
    """One of everything that is woven, with all the names it brings along."""
    return Pipeline(
        "all",
        Bulkhead(10),
        Timeout(60.0),
        Fallback.value("fallback", on=LookupError),
        Retry(on=ConnectionError, first_delay=0.0, idempotent=lambda *_args, **_kwargs: True),
        RateLimit(1000),
        CircuitBreaker(),
        Timeout(1.0),
        Chaos(),
    )


def run(call: Any) -> Any:
    """The result of a call of any face, a list for a stream."""

    async def main() -> Any:
        if inspect.isasyncgen(call):
            return [item async for item in call]
        return await call

    if inspect.isasyncgen(call) or inspect.iscoroutine(call):
        return virtual_time.run(main())
    return list(call) if inspect.isgenerator(call) else call


def plain(a, /, b, *rest, c=3, **others):
    return a, b, rest, c, others


async def plain_async(a, /, b, *rest, c=3, **others):
    return a, b, rest, c, others


def stream(a, /, b, *rest, c=3, **others):
    yield from (a, b, rest, c, others)


async def stream_async(a, /, b, *rest, c=3, **others):
    for item in (a, b, rest, c, others):
        yield item


FACES = [plain, plain_async, stream, stream_async]


def without_fallback() -> Pipeline:
    return Pipeline("streams", Bulkhead(10), Timeout(60.0), Retry(on=ConnectionError), CircuitBreaker(), Timeout(1.0))


@pytest.mark.parametrize("fn", FACES)
def test_arguments_and_results_go_through_unchanged(fn: Callable[..., Any]) -> None:
    policies = without_fallback()
    calls: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((1, 2), {}),
        ((1, 2, 3, 4), {"c": 5, "d": 6}),
        ((1,), {"b": 2, "a": "in others"}),
    ]
    for args, kwargs in calls:
        expected = run(fn(*args, **kwargs))
        assert run(policies(fn)(*args, **kwargs)) == expected
        assert run(policies.call(fn, *args, **kwargs)) == expected


@pytest.mark.parametrize("fn", FACES)
def test_decorated_function_looks_like_the_one_decorated(fn: Callable[..., Any]) -> None:
    decorated = without_fallback()(fn)
    assert inspect.signature(decorated) == inspect.signature(fn)
    assert (decorated.__name__, decorated.__qualname__, decorated.__doc__) == (fn.__name__, fn.__qualname__, fn.__doc__)
    for kind in (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction):
        assert kind(decorated) == kind(fn)


@pytest.mark.parametrize("wrong", [{}, {"b": 1, "z": 2}, {"a": 1, "b": 2}])
def test_wrong_arguments_raise_a_type_error_that_names_the_function(wrong: dict[str, int]) -> None:
    async def complete(a: int, /, *, b: int) -> tuple[int, int]:
        return a, b

    decorated: Any = pipeline()(complete)
    with pytest.raises(TypeError, match=r"complete\(\)"):
        virtual_time.run(decorated(**wrong))


NAMES = [
    "result",
    "fn",
    "args",
    "kwargs",
    "item",
    "items",
    "delivered",
    "dict",
    "error_0",
    "error_3",
    "attempt_3",
    "bind",
    "call",
    "coroutine",
    "refuse",
    "aclosing",
    "closing",
    "permits_0",
    "window_5",
    "token_1",
    "default_0",
    "Exception",
    "BaseException",
    "self",
    "yield_",
    "budget",
    "inner",
    "tuple",
]


@pytest.mark.parametrize("name", NAMES)
def test_parameters_may_have_the_names_that_woven_code_uses(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"async def fn({name}, other=2, *, last=3): return {name}, other, last", namespace)
    exec(f"async def key(*, {name}=7): return {name}", namespace)
    exec(f"async def stream({name}):\n    for x in range({name}): yield x", namespace)
    exec(f"async def fails({name}): raise ConnectionError", namespace)
    assert run(pipeline()(namespace["fn"])(1)) == (1, 2, 3)
    assert run(pipeline()(namespace["key"])()) == 7
    assert run(pipeline()(namespace["key"])(**{name: 8})) == 8
    assert run(without_fallback()(namespace["stream"])(2)) == [0, 1]
    assert run(pipeline().call(namespace["key"], **{name: 9})) == 9
    with pytest.raises(ConnectionError):
        run(pipeline()(namespace["fails"])(1))


def test_names_that_collide_still_reach_fallback_and_retry() -> None:
    seen: list[Any] = []

    async def alternative(args, kwargs, error_0=0):
        return args, kwargs, error_0

    def may_repeat(args, kwargs, error_0=0):
        seen.append((args, kwargs, error_0))
        return False

    @Fallback(alternative, on=Exception)
    @Retry(on=Exception, idempotent=may_repeat)
    async def fails(args: int, kwargs: int, error_0: int = 0) -> Any:
        raise OSError

    assert run(fails(1, kwargs=2)) == (1, 2, 0)
    assert seen == [(1, 2, 0)]


def test_defaults_are_the_very_objects() -> None:
    marker = object()

    @pipeline()
    def fn(value: object = marker, *, other: object = marker) -> bool:
        return value is marker and other is marker

    assert fn()


def test_methods_class_methods_and_static_methods() -> None:
    policies = pipeline()

    class Client:
        @policies
        async def method(self, x: int) -> Any:
            return self, x

        @classmethod
        @policies
        async def of_class(cls, x: int) -> Any:
            return cls, x

        @staticmethod
        @policies
        async def static(x: int) -> Any:
            return x

    client = Client()
    assert run(client.method(1)) == (client, 1)
    assert run(client.of_class(x=2)) == (Client, 2)
    assert run(client.static(3)) == 3
    assert run(policies.call(client.method, 4)) == (client, 4)


class Callables:
    async def __call__(self, x: int, *, y: int = 2) -> tuple[int, int]:
        return x, y


async def add(x: int, y: int) -> tuple[int, int]:
    return x, y


@functools.wraps(add)
async def hides_its_arguments(*args: Any, **kwargs: Any) -> Any:
    return await add(*args, **kwargs)


@functools.wraps(add)
async def takes_one_itself(x: int) -> Any:
    return await add(x, 2)


async def tells_a_lie(*args: int, secret: int = 2) -> tuple[int, int]:
    return args[0], secret


tells_a_lie.__signature__ = inspect.Signature()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fn", "args", "kwargs"),
    [
        (Callables(), (1,), {}),
        (functools.partial(add, 1), (2,), {}),
        (functools.partial(add, y=2), (1,), {}),
        (functools.partial(Callables().__call__, 1), (), {}),
        (hides_its_arguments, (1,), {"y": 2}),
        (takes_one_itself, (1,), {}),
        (tells_a_lie, (1,), {"secret": 2}),
        (lambda x, y=2: (x, y), (1,), {}),
    ],
)
def test_all_that_can_be_called(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    policies = pipeline()
    assert run(policies(fn)(*args, **kwargs)) == (1, 2)
    assert run(policies.call(fn, *args, **kwargs)) == (1, 2)
    assert inspect.signature(policies(fn)) == inspect.signature(fn)


def test_what_is_no_function_is_refused_with_what_to_do() -> None:
    policies: Any = pipeline()
    function: Any = add
    coroutine = add(1, 2)
    for given, said in [
        (staticmethod(add), "put @staticmethod above it"),
        (classmethod(function), "put @classmethod above it"),
        (coroutine, r"the result of calling .*add\(\); pass .*add itself"),
        (Callables, "the class Callables"),
        (5, r"5 \(int\)"),
    ]:
        with pytest.raises(TypeError, match=said):
            policies(given)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


def test_def_that_returns_a_coroutine_is_refused() -> None:
    def forgets_to_await(x: int) -> Any:
        return add(x, 2)

    policies = pipeline()
    with pytest.raises(TypeError, match="forgets_to_await is no `async def` but returned a coroutine"):
        policies(forgets_to_await)(1)
    with pytest.raises(TypeError, match="forgets_to_await"):
        policies.call(forgets_to_await, 1)


@pytest.mark.parametrize("awaits", [True, False])
def test_source_is_python_to_read(awaits: bool) -> None:
    text = pipeline().source(awaits=awaits)
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.AsyncFunctionDef if awaits else ast.FunctionDef)
    assert "$" not in text
    assert ("await fn(*args, **kwargs)" in text) == awaits
    assert text.index("permits_0.in_use") < text.index("attempt_3") < text.index("window_5")


def test_every_woven_function_has_a_code_object_of_its_own() -> None:
    policies = pipeline()
    first, second = policies(add), policies(add)
    assert first.__code__ is not second.__code__
    assert first.__code__.co_filename == second.__code__.co_filename


def test_traceback_shows_the_woven_lines() -> None:
    @without_fallback()
    async def fails() -> None:
        raise LookupError("nobody there")

    with pytest.raises(LookupError) as raised:
        run(fails())
    text = "".join(traceback.format_exception(raised.value))
    assert 'File "<seawall pipeline ' in text
    assert "result = await fn()" in text


def test_threads_and_loops_share_one_decorated_function() -> None:
    decorated = without_fallback()(add)

    async def many() -> list[tuple[int, int]]:
        return await asyncio.gather(*(decorated(x, 0) for x in range(5)))

    for _ in range(2):  # a second event loop
        assert virtual_time.run(many()) == [(x, 0) for x in range(5)]
