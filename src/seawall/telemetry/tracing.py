"""Spans: what a recorded trace consists of, and `traced`, which adds functions and blocks to it.

    @traced
    async def recommend(user_id: int) -> list[Podcast]: ...

    with traced.block("rank", candidates=len(found)) as span:
        span.set(best=ranked[0].score)

Where the request at hand isn't recorded, that costs one truth test.
"""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from time import perf_counter, time
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar, overload

from seawall.core import Event, Events, OptionError, correlation
from seawall.core.correlation import Correlation

MOST_MARKS = 64
"""Moments kept of one request."""
_FRAMES = 20
F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["server", "client", "internal", "consumer"]


@dataclass(frozen=True, kw_only=True)
class SpanEnded(Event):
    """A `traced` function or block has ended, in a request whose trace is recorded.

    started: seconds of the epoch. error: the type of what it raised. stack: where from, innermost last, as
    `file:line in function`. Neither has the exception's message, nor any argument.
    """

    name: str
    span_id: str
    parent_id: str
    started: float
    seconds: float
    error: str | None
    stack: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A moment in a span. at: seconds of the epoch."""

    name: str
    at: float
    attributes: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A piece of work that has ended.

    started: seconds of the epoch. attributes: without secrets. parent_id: None where the trace begins. far: whether the
    parent is another service's. error: the type of what went wrong, or a status. failed: whether it counts as failed.
    """

    name: str
    kind: Kind
    trace_id: str
    span_id: str
    parent_id: str | None
    started: float
    seconds: float
    far: bool = False
    trace_state: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    error: str | None = None
    failed: bool = False
    stack: tuple[str, ...] = ()


class Spans(Protocol):
    """Where spans go; `seawall.telemetry.opentelemetry.OpenTelemetrySpans` is one."""

    def ended(self, span: Span) -> None:
        """Take a span. Never waits."""
        ...


class Recording:
    """A request, or a job, whose trace is recorded. It stays current for what it leaves running in the background.

    events: where its spans are told. marks: moments of it, `MOST_MARKS` at most.
    """

    __slots__ = ("error", "events", "marks", "work")

    def __init__(self, work: Correlation, events: Events) -> None:
        self.work = work
        self.events = events
        self.marks: list[Mark] = []
        self.error: str | None = None

    def covers(self, work: Correlation) -> bool:
        """Whether `work` is this request or a span in it, not another request that was served in its context."""
        own = self.work
        return work is own or (work.request_id == own.request_id and work.trace_id == own.trace_id)

    def mark(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Something happened just now."""
        if len(self.marks) < MOST_MARKS:
            self.marks.append(Mark(name=name, at=time(), attributes=attributes))


recording: ContextVar[Recording | None] = ContextVar("seawall_recording", default=None)
"""The recorded request at hand."""


def new_span_id() -> str:
    """16 hexadecimal digits, not all of them 0."""
    return f"{random.getrandbits(64) or 1:016x}"


def type_name(error: BaseException | type[BaseException]) -> str:
    """The qualified name of an error's type: `podcasts.errors.NoCampaign`, `ValueError`."""
    kind = error if isinstance(error, type) else type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def places(trace: TracebackType | None) -> tuple[str, ...]:
    """The lines of code of a traceback, innermost last; without their text."""
    found = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename != __file__:
            found.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_qualname}")
        trace = trace.tb_next
    return tuple(found[-_FRAMES:])


class Block:
    """A span under way; `traced.block` makes them. Use it with `with`, once."""

    __slots__ = ("_attributes", "_began", "_child", "_fields", "_name", "_parent", "_recording", "_started", "_token")

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        self._name = name
        self._attributes = attributes
        self._recording: Recording | None = None
        self._token: Token[Correlation | None] | None = None

    def set(self, **attributes: Any) -> None:
        """Add to what is told of the span: texts, numbers and switches."""
        if self._recording is not None:
            self._attributes = {**self._attributes, **attributes}

    def __enter__(self) -> Block:
        self.begin()
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self.end(error)

    def begin(self) -> bool:
        """Begin to measure, if the request at hand is recorded; whether it is."""
        work = correlation.current.get()
        if work is None or not work.sampled:
            return False
        found = recording.get()
        if found is None or not found.covers(work):
            return False
        self._recording, self._parent = found, work
        child = Correlation(
            work.request_id, work.trace_id, new_span_id(), sampled=True, drawn=work.drawn, trace_state=work.trace_state
        )
        child.fields = self._fields = work.fields
        self._child = child
        self._started, self._began = time(), perf_counter()
        return True

    def enter(self) -> None:
        """Be the parent of what happens from here on."""
        if self._recording is not None:
            self._token = correlation.current.set(self._child)

    def leave(self) -> None:
        """Be it no longer."""
        token, self._token = self._token, None
        if token is None:
            return
        # In another context, as when a framework closes a dependency elsewhere, there is nothing to reset.
        with suppress(ValueError):
            correlation.current.reset(token)
        if self._child.fields is not self._fields:
            # What was bound in the block is the request's, as it is where nothing is recorded.
            self._parent.fields = {**(self._parent.fields or {}), **(self._child.fields or {})}
            self._fields = self._child.fields

    def end(self, error: BaseException | None) -> None:
        """Tell of it."""
        found = self._recording
        if isinstance(error, GeneratorExit):
            error = None  # whoever took items wants no more
        if found is not None and found.events.listeners:
            event = SpanEnded(
                name=self._name,
                span_id=self._child.span_id,
                parent_id=self._parent.span_id,
                started=self._started,
                seconds=perf_counter() - self._began,
                error=None if error is None else type_name(error),
                stack=() if error is None else places(error.__traceback__),
                attributes=self._attributes,
            )
            found.events.emit(event)


class _Traced:
    """See `traced`."""

    @overload
    def __call__(self, name: F, /) -> F: ...
    @overload
    def __call__(self, name: str, /, **attributes: Any) -> Callable[[F], F]: ...

    def __call__(self, name: Any, /, **attributes: Any) -> Any:
        """Make a function a span: `@traced`, or `@traced("name", attribute="value")`."""
        if isinstance(name, str):
            return lambda function: _wrapped(function, name, attributes)
        return _wrapped(name, None, attributes)

    @staticmethod
    def block(name: str, /, **attributes: Any) -> Block:
        """A block that is a span: `with traced.block("rank") as span`."""
        return Block(name, attributes)


traced = _Traced()
"""Makes functions (`def`, `async def`, generators of both kinds) and blocks spans of the request's trace.

    @traced                                      # named after the module and the function
    @traced("rank", model="large")               # named, with attributes
    with traced.block("rank") as span: ...       # span.set(found=3) adds attributes

What runs inside is its child: statements, outgoing requests, log lines, other spans. An exception is told by its type
and the lines it came by, never by its message. Attributes whose name is a secret's are withheld.
"""


def _wrapped(function: Any, name: str | None, attributes: dict[str, Any]) -> Any:
    if not callable(function) or isinstance(function, type):
        raise OptionError("traced", "function", function, "a function")
    shown = name or f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"
    make = (
        _async_generator if inspect.isasyncgenfunction(function)
        else _generator if inspect.isgeneratorfunction(function)
        else _coroutine if inspect.iscoroutinefunction(function)
        else _plain
    )  # fmt: skip
    return functools.wraps(function)(make(function, shown, attributes))


def _plain(function: Any, name: str, attributes: dict[str, Any]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        work = correlation.current.get()
        if work is None or not work.sampled:
            return function(*args, **kwargs)
        with Block(name, attributes):
            return function(*args, **kwargs)

    return call


def _coroutine(function: Any, name: str, attributes: dict[str, Any]) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        work = correlation.current.get()
        if work is None or not work.sampled:
            return await function(*args, **kwargs)
        with Block(name, attributes):
            return await function(*args, **kwargs)

    return call


def _generator(function: Any, name: str, attributes: dict[str, Any]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        block = Block(name, attributes)
        if not block.begin():
            return (yield from function(*args, **kwargs))
        try:
            result = yield from _steps(function(*args, **kwargs), block)
        except BaseException as error:
            block.end(error)
            raise
        block.end(None)
        return result

    return call


def _steps(inner: Generator[Any, Any, Any], block: Block) -> Generator[Any, Any, Any]:
    """Run a generator in its block, which whoever iterates over it isn't in."""
    step: Callable[[], Any] = functools.partial(next, inner)
    while True:
        block.enter()
        try:
            value = step()
        except StopIteration as stop:
            return stop.value
        finally:
            block.leave()
        try:
            sent = yield value
        except GeneratorExit:
            block.enter()
            try:
                inner.close()
            finally:
                block.leave()
            raise
        except BaseException as error:  # noqa: BLE001 - the generator's to judge
            step = functools.partial(inner.throw, error)
        else:
            step = functools.partial(inner.send, sent)


def _async_generator(function: Any, name: str, attributes: dict[str, Any]) -> Any:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        block, inner = Block(name, attributes), function(*args, **kwargs)
        block.begin()
        failed: BaseException | None = None
        step: Callable[[], Any] = functools.partial(anext, inner)
        try:
            while True:
                try:
                    value = await _stepped(step, block)
                except StopAsyncIteration:
                    return
                try:
                    sent = yield value
                except GeneratorExit:
                    await _stepped(inner.aclose, block)
                    raise
                except BaseException as error:  # noqa: BLE001 - the generator's to judge
                    step = functools.partial(inner.athrow, error)
                else:
                    step = functools.partial(inner.asend, sent)
        except BaseException as error:
            failed = error
            raise
        finally:
            block.end(failed)

    return call


async def _stepped(step: Callable[[], Any], block: Block) -> Any:
    """One step of an asynchronous generator in its block, which whoever iterates over it isn't in."""
    block.enter()
    try:
        return await step()
    finally:
        block.leave()
