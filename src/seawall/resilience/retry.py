"""Retry: repeats a call that failed for a passing reason, never more than helps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seawall.core import Clock, Events, deadline
from seawall.core.errors import OptionError
from seawall.core.options import callable_or_none, number
from seawall.resilience import events as facts
from seawall.resilience.backoff import Backoff, Jitter, retry_after
from seawall.resilience.budget import RetryBudget
from seawall.resilience.errors import RejectedError
from seawall.resilience.matching import ErrorMatch, matcher, type_names
from seawall.resilience.policy import FREE_THREADED, Policy
from seawall.resilience.weave import Face, Fragment


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryStatistics:
    """Since it was made: `retried` attempts beyond first ones, `recovered` calls that a retry saved, and calls
    `given_up` on after a retryable failure. `calls` is not counted: a call that succeeds at once costs nothing."""

    name: str
    retried: int
    recovered: int
    given_up: int


class Retry(Policy):
    """Repeats a call up to `attempts` times in all.

    on: which errors are worth another attempt. There is no default: only you know which are passing ones.
        Seawall's own rejections are retried only where a type of theirs is named here; cancellation never.
    on_result: a function of the result that tells one worth another attempt. After the last attempt the
        result is returned.
    first_delay, factor, max_delay, jitter: see `Backoff`. A `Retry-After` of the error or result is honoured
        when it is not longer than `max_delay`; one that is longer ends the attempts.
    give_up_after: seconds from the first attempt's start after which no further one begins.
    budget: shared limit on extra load; see `RetryBudget`.
    idempotent: False, or a function of the call's arguments, for calls that must not happen twice: then only
        errors `unsent` are retried, those that show that nothing was sent.

    A retry never sleeps past the caller's deadline, nor past `give_up_after`: it gives up at once, with the
    last error. In a stream nothing is repeated once an item was handed out. State is kept per call, so one
    Retry serves any number of tasks and threads.
    """

    repeats = True

    def __init__(
        self,
        *,
        on: ErrorMatch,
        attempts: int = 3,
        name: str | None = None,
        on_result: Callable[[Any], bool] | None = None,
        first_delay: float = 1.0,
        factor: float = 2.0,
        max_delay: float = 30.0,
        jitter: Jitter = "full",
        give_up_after: float | None = None,
        budget: RetryBudget | None = None,
        idempotent: bool | Callable[..., bool] = True,
        unsent: ErrorMatch = (ConnectionRefusedError, RejectedError),
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        number("Retry", "attempts", attempts, at_least=1, integer=True)
        callable_or_none("Retry", "on_result", on_result)
        if give_up_after is not None:
            number("Retry", "give_up_after", give_up_after, above=0)
        if budget is not None and not isinstance(budget, RetryBudget):
            raise OptionError("Retry", "budget", budget, "a RetryBudget or None")
        if not isinstance(idempotent, bool) and not callable(idempotent):
            raise OptionError("Retry", "idempotent", idempotent, "True, False or a function of the arguments")
        self.attempts = attempts
        self.backoff = Backoff(first=first_delay, factor=factor, longest=max_delay, jitter=jitter)
        self.budget = budget
        self._on = on
        self._matches = matcher("Retry", "on", on)
        self._rejections = _named_rejections(on)
        self._on_result = on_result
        self._give_up_after = give_up_after
        self._idempotent = idempotent
        self._unsent = matcher("Retry", "unsent", unsent)
        self._retried = 0
        self._recovered = 0
        self._given_up = 0

    def statistics(self) -> RetryStatistics:
        """A frozen picture of this moment."""
        return RetryStatistics(
            name=self.name, retried=self._retried, recovered=self._recovered, given_up=self._given_up
        )

    def fragment(self, face: Face) -> Fragment:
        """A loop around the call."""
        template = _TEMPLATE
        holes = {
            "{deposit}": _DEPOSIT if self.budget is not None else "",
            "{start}": "$start = $clock()" if self._give_up_after is not None else "$start = 0.0",
            "{delivered}": "if delivered:\n            raise" if face.kind == "stream" else "pass",
            "{judge}": _JUDGE if self._on_result is not None and face.kind == "call" else "if True:",
        }
        for hole, text in holes.items():
            template = template.replace(hole, text)
        return Fragment(
            template,
            {
                "retry": self,
                "budget": self.budget,
                "deposit": self.budget.deposit if self.budget is not None else None,
                "clock": self.clock.monotonic,
                "sleep": asyncio.sleep if face.awaits else self.clock.sleep,
                "on_result": self._on_result,
                "after_error": self._after_error,
                "after_result": self._after_result,
                "recovered": self._count_recovered,
            },
        )

    def _after_error(
        self,
        attempt: int,
        previous: float,
        error: Exception,
        start: float,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> float | None:
        """Seconds to wait before the next attempt, None to give up."""
        if not self._matches(error) or (isinstance(error, RejectedError) and not isinstance(error, self._rejections)):
            return None
        if not self._unsent(error) and not self._may_repeat(args, kwargs):
            return self._give_up(attempt, "not idempotent", error)
        return self._delay(attempt, previous, start, error, error)

    def _after_result(
        self, attempt: int, previous: float, result: object, start: float, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> float | None:
        if not self._may_repeat(args, kwargs):
            return self._give_up(attempt, "not idempotent", None)
        return self._delay(attempt, previous, start, result, None)

    def _may_repeat(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        return self._idempotent(*args, **kwargs) if callable(self._idempotent) else self._idempotent

    def _delay(
        self, attempt: int, previous: float, start: float, carrier: object, error: Exception | None
    ) -> float | None:
        if attempt >= self.attempts:
            return self._give_up(attempt, "attempts", error)
        delay = self.backoff.delay(attempt, previous)
        asked = retry_after(carrier, self.clock)
        if asked is not None:
            if asked > self.backoff.longest:
                return self._give_up(attempt, "retry-after", error)
            # The jitter comes on top: callers who were told the same number should not come back together.
            delay = asked if self.backoff.jitter == "none" else max(asked, min(asked + delay, self.backoff.longest))
        now = self.clock.monotonic()
        left = deadline.remaining(clock=self.clock)
        if left is not None and delay >= left:
            return self._give_up(attempt, "deadline", error)
        if self._give_up_after is not None and now + delay >= start + self._give_up_after:
            return self._give_up(attempt, "give-up-after", error)
        if self.budget is not None and not self.budget.withdraw():
            return self._give_up(attempt, "budget", error)
        self._retried += 1
        if self.events.listeners:
            self.events.emit(facts.CallRetried(policy=self.name, attempt=attempt, delay=delay, error=_name(error)))
        return delay

    def _give_up(self, attempts: int, reason: str, error: Exception | None) -> float | None:
        self._given_up += 1
        if self.events.listeners:
            self.events.emit(facts.RetryGivenUp(policy=self.name, attempts=attempts, reason=reason, error=_name(error)))
        return None

    def _count_recovered(self) -> None:
        self._recovered += 1

    def __repr__(self) -> str:
        return f"Retry({self.attempts} attempts, on={type_names(self._on)})"


def _named_rejections(on: ErrorMatch) -> tuple[type[BaseException], ...]:
    """The rejections that the user asked to retry by naming a type of theirs."""
    types = on if isinstance(on, tuple) else (on,)
    return tuple(kind for kind in types if isinstance(kind, type) and issubclass(kind, RejectedError))


def _name(error: Exception | None) -> str:
    return "" if error is None else type(error).__name__


_DEPOSIT = "$deposit()" if FREE_THREADED else "if $budget.tokens < $budget.burst:\n    $budget.tokens += $budget.ratio"

_JUDGE = """if $on_result(result):
            $delay = $after_result($attempt, $delay, result, $start, $args, $kwargs)
            if $delay is None:
                break
        else:"""

_TEMPLATE = """
$attempt = 1
$delay = 0.0
{start}
{deposit}
while True:
    try:
        $inner
    except Exception as $error:
        {delivered}
        $delay = $after_error($attempt, $delay, $error, $start, $args, $kwargs)
        if $delay is None:
            raise
    else:
        {judge}
            if $attempt > 1:
                $recovered()
            break
    $await $sleep($delay)
    $attempt += 1
"""
