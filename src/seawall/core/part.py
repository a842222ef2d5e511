"""A part of a running service: it is started, checked, and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self, runtime_checkable


class Status(StrEnum):
    """The health of a part or of the whole, from good to bad."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, kw_only=True)
class Health:
    """What a check found: a status and a sentence that says why; `checks` has what it consists of, by name."""

    status: Status
    message: str = ""
    checks: Mapping[str, Health] = field(default_factory=dict)


@runtime_checkable
class Part(Protocol):
    """Something with a name that is entered to start, left to stop, and can tell its health."""

    @property
    def name(self) -> str:
        """The part's name, unique in a service."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...

    async def check(self) -> Health:
        """The part's health now. Bounded by the caller."""
        ...


class Lifecycle:
    """Starts parts in order and stops them in reverse.

    When a start fails or is cancelled half-way, the parts already started are stopped, in reverse, before
    the error goes on. Every part is stopped even when another one fails to. A lifecycle can be entered again
    after it was left.
    """

    __slots__ = ("_stack", "parts")

    def __init__(self, parts: Sequence[Part] = ()) -> None:
        self.parts: list[Part] = []
        self._stack: AsyncExitStack | None = None
        for part in parts:
            self.add(part)

    def add(self, part: Part) -> None:
        """Put `part` behind the others: started last, stopped first. Refused once running, and for a taken name."""
        if self._stack is not None:
            message = f"part {part.name!r} can't be added while the service runs; add it before it starts"
            raise RuntimeError(message)
        if any(other.name == part.name for other in self.parts):
            message = f"there is a part {part.name!r} already; names are unique in a service"
            raise ValueError(message)
        self.parts.append(part)

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            message = "this lifecycle is running already"
            raise RuntimeError(message)
        # From here on a second start and another part are refused.
        self._stack = stack = AsyncExitStack()
        try:
            for part in self.parts:
                await stack.enter_async_context(part)
        except BaseException as error:
            self._stack = None
            await stack.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        stack, self._stack = self._stack, None
        return None if stack is None else await stack.__aexit__(kind, error, trace)

    async def check(self, *, timeout: float = 5.0) -> dict[str, Health]:
        """Ask every part at once for its health; one that raises or takes over `timeout` seconds is unhealthy."""

        async def ask(part: Part) -> Health:
            limit = asyncio.timeout(timeout)
            try:
                async with limit:
                    return await part.check()
            except (Exception, asyncio.CancelledError) as error:
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                    raise
                # A check that fails is a finding, also one that waited for a cancelled task or timed out by itself.
                late = limit.expired()
                message = f"no answer within {timeout:g} s" if late else f"check failed: {type(error).__name__}"
                return Health(status=Status.UNHEALTHY, message=message)

        found = await asyncio.gather(*map(ask, self.parts))
        return {part.name: health for part, health in zip(self.parts, found, strict=True)}
