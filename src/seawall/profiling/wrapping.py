"""Functions of every kind, wrapped so that their calls are measured."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncIterator, Callable, Generator
from time import thread_time
from typing import Any, Protocol

from seawall.profiling.series import KEPT, Kind, Series

_SAMPLED = 16
"""One call of this many is looked at closely: how much of it was work. To do so costs as much as all else here."""
_ENDS = (StopIteration, StopAsyncIteration)
"""What `__next__` and `__anext__` raise when all is well."""


class Switch(Protocol):
    """Whether to measure now, and by which clock."""

    running: bool
    now: Callable[[], float]


def kind_of(function: Callable[..., Any]) -> Kind:
    """The kind of a function."""
    if inspect.isasyncgenfunction(function):
        return Kind.ASYNC_GENERATOR
    if inspect.iscoroutinefunction(function):
        return Kind.ASYNC
    return Kind.GENERATOR if inspect.isgeneratorfunction(function) else Kind.SYNC


def wrapped(function: Callable[..., Any], series: Series, switch: Switch) -> Callable[..., Any]:
    """The function, with its calls measured into `series`; it stays what it is: async, generator or neither."""
    wrappers = {
        Kind.ASYNC: _async,
        Kind.SYNC: _sync,
        Kind.GENERATOR: _generator,
        Kind.ASYNC_GENERATOR: _async_generator,
    }
    return functools.wraps(function)(wrappers[kind_of(function)](function, series, switch))


def _sync(function: Callable[..., Any], series: Series, switch: Switch) -> Callable[..., Any]:
    took, append, fold, now = series.took, series.took.append, series.fold, switch.now

    def measured(*args: Any, **named: Any) -> Any:
        if not switch.running:
            return function(*args, **named)
        cpu = None if len(took) % _SAMPLED else thread_time()
        began = now()
        try:
            return function(*args, **named)
        except Exception as error:
            _count(error, series)
            raise
        finally:
            seconds = now() - began
            append(seconds)
            if cpu is not None:
                series.worked.append(min(thread_time() - cpu, seconds))
                series.sampled.append(seconds)
            if len(took) >= KEPT:
                fold()

    return measured


def _async(function: Callable[..., Any], series: Series, switch: Switch) -> Callable[..., Any]:
    took, append, fold, now = series.took, series.took.append, series.fold, switch.now

    async def measured(*args: Any, **named: Any) -> Any:
        if not switch.running:
            return await function(*args, **named)
        if not len(took) % _SAMPLED:
            return await _awaited(function(*args, **named), series, now)
        began = now()
        try:
            return await function(*args, **named)
        except Exception as error:
            _count(error, series)
            raise
        finally:
            append(now() - began)
            if len(took) >= KEPT:
                fold()

    return measured


def _generator(function: Callable[..., Any], series: Series, switch: Switch) -> Callable[..., Any]:
    def measured(*args: Any, **named: Any) -> Generator[Any, Any, Any]:
        if not switch.running:
            return (yield from function(*args, **named))
        return (yield from _driven(function(*args, **named), series, switch.now, waits=False))

    return measured


def _driven(inner: Any, series: Series, now: Callable[[], float], waits: bool = True) -> Generator[Any, Any, Any]:
    """Does what `yield from inner` does, and measures each step.

    Between the steps a coroutine waits for what it awaits, which is part of its call; a generator waits for whoever
    reads it, which is not.
    """
    busy = 0.0
    act, argument = inner.send, None
    began = step = now()
    try:
        while True:
            yielded = act(argument)
            busy += now() - step
            try:
                argument = yield yielded
                act = inner.send
            except BaseException as error:  # noqa: BLE001 - it is raised inside, and comes out again or not
                act, argument = inner.throw, error
            step = now()
    except StopIteration as stop:
        return stop.value
    except Exception as error:
        _count(error, series)
        raise
    finally:
        argument = None  # an error holds this frame
        end = now()
        busy += end - step
        if waits:
            series.worked.append(busy)
            series.sampled.append(end - began)
        series.add(end - began if waits else busy)


_awaited = types.coroutine(_driven)


def _async_generator(function: Callable[..., Any], series: Series, switch: Switch) -> Callable[..., Any]:
    async def measured(*args: Any, **named: Any) -> AsyncIterator[Any]:
        now, spent = switch.now, 0.0
        inner = function(*args, **named)
        act, argument = inner.asend, None
        step = now()
        try:
            while True:
                step = now()
                try:
                    yielded = await act(argument)
                except StopAsyncIteration:
                    return
                finally:
                    spent += now() - step
                try:
                    argument = yield yielded
                    act = inner.asend
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - it is raised inside, and comes out again or not
                    act, argument = inner.athrow, error
        except Exception as error:
            _count(error, series)
            raise
        finally:
            argument = None  # an error holds this frame
            step = now()
            try:
                await inner.aclose()
            finally:
                if switch.running:
                    series.add(spent + now() - step)

    return measured


def _count(error: Exception, series: Series) -> None:
    if not isinstance(error, _ENDS):
        series.failed()
