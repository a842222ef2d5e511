"""The facts that resilience reports. Every event names its policy; telemetry derives metrics and logs from them."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Event


@dataclass(frozen=True, kw_only=True)
class PolicyEvent(Event):
    """`policy` is the name of the policy that reports."""

    policy: str


@dataclass(frozen=True, kw_only=True)
class CircuitChanged(PolicyEvent):
    """A breaker changed its state. Subscribe to this for all changes, or to one below."""

    old: str
    new: str
    reason: str


class CircuitOpened(CircuitChanged):
    """It refuses calls from now on."""


class CircuitHalfOpened(CircuitChanged):
    """It lets trial calls through."""


class CircuitClosed(CircuitChanged):
    """Calls pass again."""


class CircuitIsolated(CircuitChanged):
    """It was taken out by hand."""


class CircuitOverridden(CircuitChanged):
    """It was forced closed, or set to metrics only, by hand."""


class CircuitWouldHaveOpened(CircuitChanged):
    """A metrics-only breaker saw what would have opened it."""


@dataclass(frozen=True, kw_only=True)
class RequestSent(Event):
    """A request went out by HTTP, for work whose trace is recorded, and was answered after `seconds`, or failed.

    status: the answer's, None where `error` (a type's name) came instead. span_id: what the receiver was told as its
    parent. attempt: from 1, where a pipeline sends the request more than once.
    """

    method: str
    host: str
    port: int | None
    status: int | None
    error: str | None
    seconds: float
    span_id: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class CallRejected(PolicyEvent):
    """A policy refused a call before it began. `reason` is the code of the error raised."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class CallRetried(PolicyEvent):
    """Attempt number `attempt` (from 1) failed and the next begins in `delay` seconds. `error` is a type's name."""

    attempt: int
    delay: float
    error: str


@dataclass(frozen=True, kw_only=True)
class RetryGivenUp(PolicyEvent):
    """No further attempt. `reason`: attempts, budget, deadline, give-up-after, retry-after, or not idempotent."""

    attempts: int
    reason: str
    error: str


@dataclass(frozen=True, kw_only=True)
class CallTimedOut(PolicyEvent):
    """A call was cut after `seconds`, by its `timeout` or the caller's `deadline`."""

    seconds: float
    cut_by: str


@dataclass(frozen=True, kw_only=True)
class LimitChanged(PolicyEvent):
    """An adaptive limit moved."""

    old: int
    new: int


@dataclass(frozen=True, kw_only=True)
class CallHedged(PolicyEvent):
    """No answer after `delay` seconds, so attempt number `attempt` (from 2) was started beside the others."""

    attempt: int
    delay: float


@dataclass(frozen=True, kw_only=True)
class HedgeWon(PolicyEvent):
    """A hedge, not the first attempt, answered first."""

    attempt: int


@dataclass(frozen=True, kw_only=True)
class FallenBack(PolicyEvent):
    """The call failed with `error` (a type's name) and `alternative` was used in its place."""

    error: str
    alternative: str


@dataclass(frozen=True, kw_only=True)
class FaultInjected(PolicyEvent):
    """Chaos put a fault before a call."""

    fault: str
