"""What every policy can do: decorate, call, guard a block, report events, and fit into a pipeline."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, ClassVar, ParamSpec, Self, TypeVar

from seawall.core import SYSTEM_CLOCK, Clock, Events
from seawall.resilience.weave import Face, Fragment, face_of, source, weave

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

SILENT = Events()
"""The stream of policies that nobody gave one; nothing subscribes to it."""

UNNAMED = "unnamed"

FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether counters need a lock. With the GIL, CPython switches threads at calls and backward jumps only, so
`slot += 1` is exact without; a test counts on several threads."""


class Policy:
    """Anything that runs, refuses, repeats, bounds, races or replaces a call.

    Every policy is used in four ways: `@policy` on `async def`, `def`, and generator functions of both
    kinds; `await policy.call(fn, *args)` (without `await` for a `def`); `with policy.guard():` and
    `async with policy.guard():` where the block need not be repeated; and as a member of a `Pipeline`.
    A policy without a name, events or a clock of its own takes those of the first pipeline it is put into.
    """

    repeats: ClassVar[bool] = False
    """Whether the call may run more than once, so that a `with` block can't stand for it."""

    def __init__(self, name: str | None, clock: Clock | None, events: Events | None) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            message = f"{type(self).__name__}: the name is {name!r}; allowed: a string that is not empty"
            raise TypeError(message)
        self.name = name or UNNAMED
        self.clock: Clock = clock or SYSTEM_CLOCK
        self.events = events or SILENT
        self.woven = False
        self._ad_hoc: dict[Face, Callable[..., Any]] = {}

    @property
    def policies(self) -> tuple[Any, ...]:
        """The policies to compose, outermost first: this one, or a pipeline's members."""
        return (self,)

    @property
    def composed(self) -> tuple[Any, ...]:
        """What is put around a call, outermost first."""
        return self.policies

    def fragment(self, face: Face) -> Fragment:
        """This policy's lines for the weaver."""
        raise NotImplementedError

    def around(self, call: Callable[..., Any], face: Face) -> Callable[..., Any] | None:
        """A function around `call`, for a policy that can't be woven; None for one that can."""
        return None

    def adopt(self, name: str, events: Events, clock: Clock) -> None:
        """Take the name, the events and the clock of a pipeline, unless this policy has its own."""
        if self.name == UNNAMED:
            self.name = name
        if self.events is SILENT:
            self.events = events
        # Functions that are woven already measure by the clock they were woven with.
        if self.clock is SYSTEM_CLOCK and clock is not SYSTEM_CLOCK and not self.woven:
            self.use_clock(clock)

    def use_clock(self, clock: Clock) -> None:
        """Measure by `clock` from now on; before the first call."""
        self.clock = clock

    def __call__(self, fn: F) -> F:
        """Decorate `fn`; name, signature and docstring stay."""
        return compose(self.composed, fn, face_of(fn, self))  # type: ignore[return-value]

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn` once under this policy. The result of an `async def` is to be awaited."""
        code = getattr(fn, "__code__", None)
        plain = code is not None and code.co_flags & inspect.CO_COROUTINE
        face = _CALL if plain else face_of(fn, self)
        call = self._ad_hoc.get(face)
        if call is None:
            call = self._ad_hoc[face] = _compose_ad_hoc(self.composed, face)
        return call(fn, *args, **kwargs)  # type: ignore[no-any-return]

    def guard(self) -> Guard:
        """A context manager, for `with` and `async with`, whose block stands for the call."""
        for policy in self.policies:
            if getattr(policy, "repeats", True):
                message = f"{policy!r} may run a call more than once and can't guard a block; decorate a function"
                raise TypeError(message)
        return Guard(self)

    def source(self, *, awaits: bool = True) -> str:
        """The woven text around an `async def` (or a `def`), for whoever wants to see what runs."""
        face = Face("call", awaits)
        return source(_fragments(self.composed, face), face)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class Guard:
    """A block under a policy. Make one for each use: `with breaker.guard():`."""

    __slots__ = ("_context", "_policy")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._context: Any = None

    def __enter__(self) -> Self:
        self._context = self._fresh(contextmanager, awaits=False)
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)  # type: ignore[no-any-return]

    async def __aenter__(self) -> Self:
        self._context = self._fresh(asynccontextmanager, awaits=True)
        await self._context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._context.__aexit__(kind, error, trace)  # type: ignore[no-any-return]

    def _fresh(self, manager: Callable[..., Any], *, awaits: bool) -> Any:
        if self._context is not None:
            message = f"a guard of {self._policy!r} was entered a second time; call guard() for each block"
            raise RuntimeError(message)
        return manager(_guarded(self._policy, Face("guard", awaits)))()


def compose(policies: Sequence[Any], fn: Callable[..., Any], face: Face) -> Callable[..., Any]:
    """Put `policies`, outermost first, around `fn`: neighbours that can be woven become one function."""
    call = fn
    for segment in _segments(policies, face):
        if _opaque(segment[0], face):
            call = functools.update_wrapper(_around(segment[0], call, face), fn)
        else:
            call = weave(_fragments(segment, face), face, call)
    return call


def _compose_ad_hoc(policies: Sequence[Any], face: Face) -> Callable[..., Any]:
    """Put `policies` around the first argument of each call. What is woven is woven now, once."""
    segments = _segments(policies, face)
    if not any(_opaque(segment[0], face) for segment in segments):
        return weave(_fragments(policies, face), face, None, ad_hoc=True)
    steps: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = []
    for segment in segments:
        if _opaque(segment[0], face):
            steps.append(functools.partial(_around, segment[0], face=face))
        else:
            steps.append(
                functools.partial(functools.partial, weave(_fragments(segment, face), face, None, ad_hoc=True))
            )

    def call(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        for step in steps:
            fn = step(fn)
        return fn(*args, **kwargs)

    return call


def _segments(policies: Sequence[Any], face: Face) -> list[list[Any]]:
    """Innermost first: runs of policies that can be woven, and the others one by one."""
    segments: list[list[Any]] = []
    for policy in reversed(policies):
        if segments and not _opaque(policy, face) and not _opaque(segments[-1][0], face):
            segments[-1].insert(0, policy)
        else:
            segments.append([policy])
    return segments


_CALL = Face("call", True)


def _fragments(policies: Sequence[Any], face: Face) -> list[Fragment]:
    for policy in policies:
        policy.woven = True
    return [policy.fragment(face) for policy in policies]


def _opaque(policy: Any, face: Face) -> bool:
    return not isinstance(policy, Policy) or type(policy).around is not Policy.around


def _around(policy: Any, call: Callable[..., Any], face: Face) -> Callable[..., Any]:
    """A function that runs `call` through a policy of the user's own: a callable that takes the call."""
    if isinstance(policy, Policy):
        return policy.around(call, face) or call
    if face.kind == "stream":
        message = f"{policy!r} is a plain callable and can't stand around a generator function"
        raise TypeError(message)
    if face.awaits:

        async def through(*args: Any, **kwargs: Any) -> Any:
            return await policy(functools.partial(call, *args, **kwargs))

        return through
    if face_of(policy, "a pipeline").awaits:
        message = (
            f"{policy!r} is `async def` and can't stand around a `def`; write it as a `def`, or make the call async"
        )
        raise TypeError(message)

    def through_blocking(*args: Any, **kwargs: Any) -> Any:
        return policy(functools.partial(call, *args, **kwargs))

    return through_blocking


def _guarded(policy: Policy, face: Face) -> Callable[..., Any]:
    call = policy._ad_hoc.get(face)
    if call is None:
        call = policy._ad_hoc[face] = weave(_fragments(policy.composed, face), face, None)
    return call
