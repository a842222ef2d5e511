"""One check at work: asked once per time to live, by all at once, and never again while it hangs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextvars import Context, copy_context
from datetime import datetime
from typing import Any

from seawall.core import Clock, Health, Status, deadline
from seawall.health.check import Check
from seawall.health.report import Finding
from seawall.health.thread import OneThread

Changed = Callable[[str, Status | None, Status, str], None]


class Probe:
    """Runs a check and keeps what it found last.

    A run is a task of its own that belongs to nobody: whoever asked first may be cancelled, the others get its answer.
    It ends within the check's timeout. What can't be stopped then, a thread or a coroutine that swallows its
    cancellation, is left alone, and the function is not called again before it has ended.

    changed: called with name, old status, new status and message when the status is another than before.
    """

    __slots__ = ("_asynchronous", "_call", "_called", "_changed", "_clock", "_found", "_run", "_thread", "check")

    def __init__(self, check: Check, *, clock: Clock, changed: Changed) -> None:
        self.check = check
        self._clock = clock
        self._changed = changed
        function: Any = check.function
        self._asynchronous = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object whose call is a coroutine
        )
        self._thread = OneThread(f"health check {check.name!r}")
        self._run: asyncio.Task[None] | None = None
        self._call: asyncio.Task[Health] | None = None
        self._called = 0.0
        self._found: tuple[Health, float, datetime, float] | None = None
        """The health, seconds it took, when it was found, and the same on the monotonic clock."""

    def refresh(self) -> asyncio.Task[None] | None:
        """The run to wait for; None while the last answer is good."""
        if self._found is not None and self._clock.monotonic() - self._found[3] < self.check.ttl:
            return None
        loop = asyncio.get_running_loop()
        # A run of a loop that was closed half-way never ends.
        if self._run is None or self._run.done() or self._run.get_loop() is not loop:
            # In an empty context: it is for all who ask, not for one request with its deadline and identity.
            self._run = loop.create_task(self._renew(), name=f"health check {self.check.name!r}", context=Context())
        return self._run

    def finding(self) -> Finding:
        """What was found last."""
        if self._found is None:  # its run was cancelled, together with all tasks of the loop
            health, seconds, checked_at, at = _unhealthy("not checked"), 0.0, self._clock.now(), self._clock.monotonic()
        else:
            health, seconds, checked_at, at = self._found
        age = self._clock.monotonic() - at
        return Finding(
            health=health, critical=self.check.critical, seconds=seconds, checked_at=checked_at, age=max(0.0, age)
        )

    async def _renew(self) -> None:
        began = self._clock.monotonic()
        if self._busy():
            after = began - self._called
            health = _unhealthy(f"still running after {after:.1f} s; not called again before it ends")
            seconds = after
        else:
            self._called = began
            health = await self._ask()
            seconds = self._clock.monotonic() - began
        old = None if self._found is None else self._found[0].status
        self._found = (health, seconds, self._clock.now(), self._clock.monotonic())
        if health.status != old:
            self._changed(self.check.name, old, health.status, health.message)

    def _busy(self) -> bool:
        call = self._call
        return self._thread.busy or (call is not None and not call.done() and not call.get_loop().is_closed())

    async def _ask(self) -> Health:
        call = self._call = asyncio.get_running_loop().create_task(self._answer())
        try:
            await asyncio.wait((call,), timeout=self.check.timeout)
        finally:
            call.cancel()  # late, or the run itself was cancelled; nothing if it is done
        if not call.done():
            return _unhealthy(f"no answer within {self.check.timeout:g} s")
        # A check that waited for something cancelled has failed; nobody wanted to stop the check.
        return _failed(asyncio.CancelledError()) if call.cancelled() else call.result()

    async def _answer(self) -> Health:
        try:
            with deadline.within(self.check.timeout, clock=self._clock):
                answer: Any
                if self._asynchronous:
                    answer = await self.check.function()  # type: ignore[misc]  # so says `_asynchronous`
                else:
                    context, loop = copy_context(), asyncio.get_running_loop()
                    answer = await loop.run_in_executor(self._thread, lambda: context.run(_call, self.check))
                    if inspect.isawaitable(answer):  # a lambda around a coroutine function
                        answer = await answer
        except Exception as error:  # noqa: BLE001 - a check that fails is a finding
            return _failed(error)
        return _understood(answer)


def _call(check: Check) -> Any:
    try:
        return check.function()
    except Exception as error:  # noqa: BLE001 - as above; a StopIteration would never get to the event loop
        return _failed(error)


def _understood(answer: Any) -> Health:
    if answer is None:
        return Health(status=Status.HEALTHY)
    if not isinstance(answer, Health):
        return _unhealthy(f"the check returned {type(answer).__name__}; allowed: Health or None")
    if not isinstance(answer.status, Status) or not isinstance(answer.message, str):
        return _unhealthy("the check returned Health whose status is no Status or whose message is no string")
    return answer


def _failed(error: BaseException) -> Health:
    return _unhealthy(f"check failed: {type(error).__name__}")


def _unhealthy(message: str) -> Health:
    return Health(status=Status.UNHEALTHY, message=message)
