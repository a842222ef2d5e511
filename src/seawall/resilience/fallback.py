"""Fallback: another way to the answer when the first one fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Self

from seawall.core import Clock, Events
from seawall.core.errors import OptionError
from seawall.resilience import events as facts
from seawall.resilience.matching import ErrorMatch, matcher
from seawall.resilience.policy import Policy
from seawall.resilience.weave import Face, Fragment, face_of


@dataclass(frozen=True, kw_only=True, slots=True)
class FallbackStatistics:
    """How often each alternative was used since it was made, by name, and how often the last one failed too."""

    name: str
    used: dict[str, int]
    exhausted: int


class Fallback(Policy):
    """When the call fails with an error in `on`, the alternatives are tried in order, with the same arguments.

    alternatives: functions like the one decorated: `async def` (or `def`) for a coroutine, `def` for a `def`;
        for a stream, generator functions, tried only while no item was handed out.
    on: which errors, of the call and of every alternative but the last; there is no default.

    The last alternative's error is raised, with the earlier ones as its context. Cancellation is never
    caught. `Fallback.value(v, on=…)` answers with a constant.
    """

    repeats = True

    def __init__(
        self,
        *alternatives: Callable[..., Any],
        on: ErrorMatch,
        name: str | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        if not alternatives:
            raise OptionError("Fallback", "alternatives", alternatives, "at least one function, or use Fallback.value")
        for alternative in alternatives:
            face_of(alternative, "Fallback")
        self.alternatives = alternatives
        self._matches = matcher("Fallback", "on", on)
        self._used = dict.fromkeys(map(_name_of, alternatives), 0)
        self._exhausted = 0

    @classmethod
    def value(cls, value: Any, *, on: ErrorMatch, name: str | None = None) -> Self:
        """A fallback that answers with `value` itself."""

        def constant(*_args: object, **_kwargs: object) -> Any:
            return value

        return cls(constant, on=on, name=name)

    def statistics(self) -> FallbackStatistics:
        """A frozen picture of this moment."""
        return FallbackStatistics(name=self.name, used=dict(self._used), exhausted=self._exhausted)

    def fragment(self, face: Face) -> Fragment:
        """The alternatives in the way of an error."""
        for alternative in self.alternatives:
            if face_of(alternative, "Fallback") not in (face, Face("call", False) if face.kind == "call" else face):
                wanted = {
                    Face("call", True): "an `async def` or a `def`",
                    Face("call", False): "a `def`",
                    Face("stream", True): "an async generator function",
                    Face("stream", False): "a generator function",
                }.get(face, "another function")
                message = f"fallback {_name_of(alternative)!r} must be {wanted}, like the function it stands in for"
                raise TypeError(message)
        if face.kind == "stream":
            template = _STREAM_TEMPLATE if face.awaits else _STREAM_TEMPLATE.replace("async ", "")
            closing_ = aclosing if face.awaits else closing
            return Fragment(template, {"next": self._next, "after": _after, "closing": closing_})
        answer = self._answer if face.awaits else self._answer_blocking
        return Fragment(_TEMPLATE, {"matches": self._matches, "answer": answer})

    def _next(self, error: Exception, tried: int) -> Callable[..., Any] | None:
        """The alternative to try after `error`, None to let the error go on."""
        if not self._matches(error):
            return None
        if tried == len(self.alternatives):
            self._exhausted += 1
            return None
        alternative = self.alternatives[tried]
        name = _name_of(alternative)
        self._used[name] += 1
        if self.events.listeners:
            self.events.emit(facts.FallenBack(policy=self.name, error=type(error).__name__, alternative=name))
        return alternative

    async def _answer(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any], tried: int = 0) -> Any:
        alternative = self._next(error, tried)
        try:
            if alternative is None:
                raise error
        finally:
            del error  # its traceback may hold this frame
        try:
            answer = alternative(*args, **kwargs)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as failed:  # noqa: BLE001 - judged by `on`; handled in here, each is the next one's context
            return await self._answer(failed, args, kwargs, tried + 1)

    def _answer_blocking(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any], tried: int = 0) -> Any:
        alternative = self._next(error, tried)
        try:
            if alternative is None:
                raise error
        finally:
            del error  # its traceback may hold this frame
        try:
            return alternative(*args, **kwargs)
        except Exception as failed:  # noqa: BLE001 - judged by `on`; handled in here, each is the next one's context
            return self._answer_blocking(failed, args, kwargs, tried + 1)

    def __repr__(self) -> str:
        return f"Fallback({', '.join(self._used)})"


def _after(error: Exception, earlier: Exception) -> None:
    """Make `earlier`, and what that came after, the beginning of the context of `error`."""
    known: list[BaseException] = [earlier]
    while (context := known[-1].__context__) is not None:
        known.append(context)
    link: BaseException = error
    while link.__context__ is not None and not any(link.__context__ is other for other in known):
        link = link.__context__
    if not any(link is other for other in known):
        link.__context__ = earlier


def _name_of(alternative: Callable[..., Any]) -> str:
    return getattr(alternative, "__name__", None) or type(alternative).__name__


_TEMPLATE = """
try:
    $inner
except Exception as $error:
    if not $matches($error):
        raise
    result = $await $answer($error, $args, $kwargs)
"""

_STREAM_TEMPLATE = """
$tried = 0
$failed = None
try:
    $inner
except Exception as $error:
    if delivered:
        raise
    $alternative = $next($error, $tried)
    if $alternative is None:
        raise
    $failed = $error
while $failed is not None:
    $tried += 1
    $earlier, $failed = $failed, None
    try:
        async with $closing($alternative(*$args, **$kwargs)) as $items:
            async for $item in $items:
                $earlier = None
                $suspend
                delivered = True
                yield $item
                $resume
    except Exception as $error:
        if delivered:
            raise
        $after($error, $earlier)
        $alternative = $next($error, $tried)
        if $alternative is None:
            raise
        $failed = $error
    finally:
        $earlier = None
"""
