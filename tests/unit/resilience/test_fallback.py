"""Fallback: what is tried in place of a call that failed, and what is raised when nothing helps."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import pytest

from seawall.core import Events, OptionError
from seawall.resilience import Fallback, FallenBack
from seawall.testing import EventRecorder, virtual_time


class OneError(Exception):
    """Of the call."""


class TwoError(Exception):
    """Of the first alternative."""


class ThreeError(Exception):
    """Of the second alternative."""


FACES = ["async def", "def", "async stream", "stream"]


def function(face: str, outcome: Any, seen: list[Any] | None = None, name: str = "fn") -> Any:
    """A function of that face that raises or answers `outcome`, an item at a time for a stream."""

    def answer(*args: Any, **kwargs: Any) -> Any:
        if seen is not None:
            seen.append((args, kwargs))
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return answer(*args, **kwargs)

    async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        for item in answer(*args, **kwargs):
            yield item

    def blocking_stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from answer(*args, **kwargs)

    made = dict(zip(FACES, [coroutine, answer, stream, blocking_stream], strict=True))[face]
    made.__name__ = name
    return made


def run(face: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    async def main() -> Any:
        if face == "async stream":
            return [item async for item in fn(*args, **kwargs)]
        return await fn(*args, **kwargs)

    if face == "stream":
        return list(fn(*args, **kwargs))
    return fn(*args, **kwargs) if face == "def" else virtual_time.run(main())


@pytest.mark.parametrize("face", FACES)
def test_alternatives_are_tried_in_order_with_the_same_arguments(face: str) -> None:
    seen: list[Any] = []
    events = Events()
    recorder = EventRecorder(events)
    policy = Fallback(
        function(face, TwoError(), seen, "mirror"),
        function(face, ["well"], seen, "cache"),
        function(face, ["never"], seen, "last"),
        on=(OneError, TwoError),
        name="read",
        events=events,
    )
    assert run(face, policy(function(face, OneError(), seen)), 1, b=2) == ["well"]
    assert seen == [((1,), {"b": 2})] * 3
    assert recorder.events == [
        FallenBack(policy="read", error="OneError", alternative="mirror"),
        FallenBack(policy="read", error="TwoError", alternative="cache"),
    ]
    assert policy.statistics().used == {"mirror": 1, "cache": 1, "last": 0}


@pytest.mark.parametrize("face", FACES)
def test_call_that_goes_well_has_no_alternative(face: str) -> None:
    seen: list[Any] = []
    policy = Fallback(function(face, ["other"], seen), on=Exception)
    assert run(face, policy(function(face, ["well"]))) == ["well"]
    assert seen == []


@pytest.mark.parametrize("face", FACES)
def test_last_error_is_raised_after_all_the_earlier_ones(face: str) -> None:
    policy = Fallback(function(face, TwoError()), function(face, ThreeError()), on=Exception)
    with pytest.raises(ThreeError) as raised:
        run(face, policy(function(face, OneError())))
    assert isinstance(raised.value.__context__, TwoError)
    assert isinstance(raised.value.__context__.__context__, OneError)
    assert raised.value.__context__.__context__.__context__ is None
    assert policy.statistics().exhausted == 1


@pytest.mark.parametrize("face", FACES)
def test_context_of_an_alternatives_own_error_is_kept(face: str) -> None:
    def broken(*_: Any) -> Any:
        try:
            raise KeyError
        except KeyError:
            raise ThreeError  # noqa: B904 - a context of its own is the point

    async def coroutine() -> Any:
        return broken()

    async def stream() -> AsyncIterator[Any]:
        yield broken()

    def blocking_stream() -> Iterator[Any]:
        yield broken()

    last = dict(zip(FACES, [coroutine, broken, stream, blocking_stream], strict=True))[face]
    with pytest.raises(ThreeError) as raised:
        run(face, Fallback(function(face, TwoError()), last, on=Exception)(function(face, OneError())))
    chain, link = [], raised.value.__context__
    while link is not None:
        chain.append(type(link))
        link = link.__context__
    assert chain == [KeyError, TwoError, OneError]


@pytest.mark.parametrize("face", FACES)
def test_error_that_is_not_meant_goes_through(face: str) -> None:
    seen: list[Any] = []
    policy = Fallback(function(face, TwoError(), seen), function(face, ["never"], seen), on=OneError)
    with pytest.raises(ThreeError):
        run(face, policy(function(face, ThreeError())))
    assert seen == []
    with pytest.raises(TwoError):
        run(face, policy(function(face, OneError())))
    assert len(seen) == 1
    assert policy.statistics().exhausted == 0


@pytest.mark.parametrize("face", FACES)
def test_one_error_object_raised_by_all_is_no_circle(face: str) -> None:
    error = OneError()
    with pytest.raises(OneError) as raised:
        run(face, Fallback(function(face, error), function(face, error), on=OneError)(function(face, error)))
    assert raised.value is error
    assert error.__context__ is None


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_cancellation_is_not_caught(face: str, error: type[BaseException]) -> None:
    seen: list[Any] = []
    policy = Fallback(function(face, [1], seen), on=BaseException)
    with pytest.raises(error):
        run(face, policy(function(face, error())))
    assert seen == []


def test_value_answers_with_a_constant() -> None:
    policy = Fallback.value({"items": []}, on=OneError)
    for face in ("async def", "def"):
        assert run(face, policy(function(face, OneError())), 1, b=2) == {"items": []}


def test_def_may_stand_in_for_an_async_def() -> None:
    policy = Fallback(function("def", 5), on=OneError)
    assert run("async def", policy(function("async def", OneError()))) == 5


@pytest.mark.parametrize("awaits", [True, False])
def test_stream_changes_over_only_before_its_first_item(awaits: bool) -> None:
    def blocking() -> Iterator[int]:
        yield 1
        raise OneError

    async def stream() -> AsyncIterator[int]:
        yield 1
        raise OneError

    face = "async stream" if awaits else "stream"
    seen: list[Any] = []
    items: list[int] = []

    async def collect() -> None:
        async for item in Fallback(function(face, [7], seen), on=OneError)(stream)():
            items.append(item)  # noqa: PERF401 - what came before an error counts

    def collect_blocking() -> None:
        for item in Fallback(function(face, [7], seen), on=OneError)(blocking)():
            items.append(item)  # noqa: PERF402

    def consume() -> None:
        if awaits:
            virtual_time.run(collect())
        else:
            collect_blocking()

    with pytest.raises(OneError):
        consume()
    assert (items, seen) == ([1], [])


@pytest.mark.parametrize(
    ("decorated", "alternative", "wanted"),
    [
        ("def", "async def", "a `def`"),
        ("async def", "async stream", "an `async def` or a `def`"),
        ("def", "stream", "a `def`"),
        ("async stream", "async def", "an async generator function"),
        ("async stream", "stream", None),
        ("stream", "def", "a generator function"),
    ],
)
def test_alternative_of_another_kind_is_refused_when_decorating(
    decorated: str, alternative: str, wanted: str | None
) -> None:
    policy = Fallback(function(alternative, [], name="mirror"), on=OneError)
    with pytest.raises(TypeError, match=f"fallback 'mirror' must be {wanted or 'an async generator function'}, like"):
        policy(function(decorated, []))


@pytest.mark.parametrize("options", [{"on": OneError}, {"on": [OneError]}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    alternatives = [] if options["on"] is OneError else [function("def", 1)]
    with pytest.raises(OptionError, match="Fallback: "):
        Fallback(*alternatives, **options)


class Known(Exception):  # noqa: N818
    """Tells whether any of its kind is alive."""

    alive: ClassVar["weakref.WeakSet[Known]"] = weakref.WeakSet()

    def __init__(self) -> None:
        Known.alive.add(self)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("helped", [True, False])
def test_no_cycle_keeps_the_errors_alive(face: str, helped: bool) -> None:
    async def coroutine() -> Any:
        raise Known

    def plain() -> Any:
        raise Known

    async def stream() -> AsyncIterator[Any]:
        raise Known
        yield

    def blocking_stream() -> Iterator[Any]:
        raise Known
        yield

    fn = dict(zip(FACES, [coroutine, plain, stream, blocking_stream], strict=True))[face]
    call = Fallback(fn, function(face, [1]) if helped else fn, on=Known)(fn)

    async def main() -> None:  # a task that fails is a cycle of asyncio's own
        with contextlib.suppress(Known):
            assert ([item async for item in call()] if face == "async stream" else await call()) == [1]

    gc.collect()
    gc.disable()
    try:
        if face.startswith("async"):
            virtual_time.run(main())
        else:
            with contextlib.suppress(Known):
                run(face, call)
        assert list(Known.alive) == []
    finally:
        gc.enable()


def test_stream_left_early_keeps_no_error_alive() -> None:
    def fails() -> Iterator[int]:
        raise Known
        yield

    stream: Any = Fallback(function("stream", [1, 2]), on=Known)(fails)()
    assert next(stream) == 1
    assert list(Known.alive) == []
