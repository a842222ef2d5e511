"""Pipeline: policies around a call, outermost first, composed into one function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from seawall.core import Clock, Events
from seawall.core.errors import OptionError
from seawall.resilience.chaos import Chaos
from seawall.resilience.order import describe, refuse_wrong_order
from seawall.resilience.policy import Policy

CustomPolicy = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]] | Callable[[Callable[[], Any]], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineStatistics:
    """The statistics of each policy that keeps some, outermost first."""

    name: str
    enabled: bool
    policies: tuple[Any, ...]


class Pipeline(Policy):
    """Policies around a call, outermost first; itself a policy.

        openai = Pipeline(
            "openai",
            Bulkhead(20, max_waiting=100),
            Timeout(60.0),                               # all attempts together
            Retry(attempts=3, on=ConnectionError),
            CircuitBreaker.consecutive(failures=3),
            Timeout(20.0),                               # each attempt
        )

        @openai
        async def complete(prompt: str) -> str: ...

    policies: Seawall's, other pipelines, and your own: `async def policy(call): return await call()`, or a
        `def` around a `def`.
    innermost: stands around every single run of the call, within what is listed, and is no part of `policies`.
    enabled: False makes the pipeline leave calls as they are, for switching it off by the environment.

    Members without a name, events or a clock of their own take the pipeline's. An order that can't work is refused
    with `PipelineOrderError`, which shows the right one.
    """

    def __init__(
        self,
        name: str,
        *policies: Policy | CustomPolicy,
        innermost: Policy | None = None,
        enabled: bool = True,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        if not policies:
            raise OptionError(f"Pipeline {name!r}", "policies", policies, "at least one policy")
        members: list[Any] = []
        for policy in policies:
            if isinstance(policy, Policy):
                members.extend(policy.policies)
            elif callable(policy) and not inspect.isclass(policy):
                members.append(policy)
            else:
                allowed = "policies such as Retry(on=…), pipelines, and functions that take the call"
                raise OptionError(f"Pipeline {name!r}", "policies", policy, allowed)
        refuse_wrong_order(name, members)
        self._members = tuple(members)
        self._innermost = innermost
        self._enabled = enabled
        self.adopt(name, self.events, self.clock)

    @property
    def enabled(self) -> bool:
        """Whether it does anything; fixed when it is made, because functions are woven for it."""
        return self._enabled

    @property
    def policies(self) -> tuple[Any, ...]:
        """The policies, outermost first, those of pipelines in it included; none when it is not enabled."""
        return self._members if self._enabled else ()

    @property
    def composed(self) -> tuple[Any, ...]:
        """The policies with the innermost one, which sees the faults that chaos injects."""
        policies = self.policies
        if self._innermost is None or not policies:
            return policies
        end = len(policies)
        while end and isinstance(policies[end - 1], Chaos):
            end -= 1
        return (*policies[:end], self._innermost, *policies[end:])

    @property
    def repeats(self) -> bool:  # type: ignore[override]
        """Whether any member may run the call more than once."""
        return any(getattr(policy, "repeats", True) for policy in self.policies)

    def adopt(self, name: str, events: Events, clock: Clock) -> None:
        """Hand name, events and clock on to the members that have none."""
        super().adopt(name, events, clock)
        for policy in (*self._members, self._innermost):
            if isinstance(policy, Policy):
                policy.adopt(self.name, self.events, self.clock)

    def statistics(self) -> PipelineStatistics:
        """A frozen picture of this moment."""
        members = (getattr(policy, "statistics", None) for policy in self._members)
        return PipelineStatistics(
            name=self.name,
            enabled=self.enabled,
            policies=tuple(statistics() for statistics in members if statistics is not None),
        )

    def __repr__(self) -> str:
        off = "" if self.enabled else " (off)"
        return f"Pipeline({self.name!r}{off}: {describe(self._members)})"
