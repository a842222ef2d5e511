"""Chaos: puts faults before calls on purpose, to see whether what stands around them works."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from seawall.core import Clock, Events, deadline
from seawall.core.errors import OptionError
from seawall.core.options import callable_or_none, number
from seawall.resilience import events as facts
from seawall.resilience.errors import InjectedError
from seawall.resilience.policy import Policy
from seawall.resilience.weave import Face, Fragment


@dataclass(frozen=True, slots=True)
class Latency:
    """The call begins `seconds` late."""

    seconds: float

    def __post_init__(self) -> None:
        number("Latency", "seconds", self.seconds, at_least=0)


@dataclass(frozen=True, slots=True)
class Failure:
    """The call fails at once with what `error` makes: an exception type or a function of no arguments."""

    error: Callable[[], BaseException] | None = None

    def __post_init__(self) -> None:
        callable_or_none("Failure", "error", self.error)


@dataclass(frozen=True, slots=True)
class Hang:
    """The call gives no answer; after `seconds` it fails as reset."""

    seconds: float = 3600.0

    def __post_init__(self) -> None:
        number("Hang", "seconds", self.seconds, at_least=0)


@dataclass(frozen=True, slots=True)
class Reset:
    """The call fails with `ConnectionResetError`."""


Fault: TypeAlias = Latency | Failure | Hang | Reset


@dataclass(frozen=True, kw_only=True, slots=True)
class ChaosStatistics:
    """Calls seen and faults injected, by type name, since it was made."""

    name: str
    enabled: bool
    calls: int
    injected: dict[str, int]


class FaultPlan:
    """Decides the fault of each call: by a script, call by call, and then by rate. A machine; safe in threads."""

    def __init__(self, faults: Iterable[Fault], rate: float, script: Iterable[Fault | None], seed: int | None) -> None:
        self._faults = tuple(faults)
        self._rate = rate
        self._script = deque(script)
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def draw(self) -> Fault | None:
        """The fault of the next call, None for none."""
        with self._lock:
            if self._script:
                return self._script.popleft()
            if self._faults and self._random.random() < self._rate:
                return self._random.choice(self._faults)
            return None


class Chaos(Policy):
    """Injects faults: `Chaos(Latency(2.0), Reset(), rate=0.05)`, or `Chaos(script=[Reset(), None, Hang()])`.

    rate: the share of calls that get one of the faults, drawn evenly; script: the faults of the first calls in
    order, None for none; seed: makes the draw repeatable. Set `enabled` to switch it while running. Innermost
    in a pipeline, so that every policy sees the faults.
    """

    def __init__(
        self,
        *faults: Fault,
        rate: float = 1.0,
        script: Iterable[Fault | None] = (),
        seed: int | None = None,
        enabled: bool = True,
        name: str | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        super().__init__(name, clock, events)
        number("Chaos", "rate", rate, at_least=0, at_most=1)
        script = tuple(script)
        for fault in (*faults, *script):
            if fault is not None and not isinstance(fault, Fault):
                raise OptionError("Chaos", "faults", fault, "Latency(seconds), Failure(error), Hang(), Reset()")
        self.enabled = enabled
        self.plan = FaultPlan(faults, rate, script, seed)
        self._calls = 0
        self._injected: Counter[str] = Counter()

    def statistics(self) -> ChaosStatistics:
        """A frozen picture of this moment."""
        return ChaosStatistics(name=self.name, enabled=self.enabled, calls=self._calls, injected=dict(self._injected))

    def fragment(self, face: Face) -> Fragment:
        """A fault, perhaps, before the call."""
        return Fragment(
            _TEMPLATE, {"draw": self._draw, "inject": self._inject if face.awaits else self._inject_blocking}
        )

    def _draw(self) -> Fault | None:
        self._calls += 1
        fault = self.plan.draw() if self.enabled else None
        if fault is not None:
            kind = type(fault).__name__
            self._injected[kind] += 1
            if self.events.listeners:
                self.events.emit(facts.FaultInjected(policy=self.name, fault=kind))
        return fault

    async def _inject(self, fault: Fault) -> None:
        if isinstance(fault, (Latency, Hang)):
            await asyncio.sleep(fault.seconds)
        self._raise(fault)

    def _inject_blocking(self, fault: Fault) -> None:
        if isinstance(fault, Latency):
            self.clock.sleep(fault.seconds)
        elif isinstance(fault, Hang):
            # Like a socket whose timeout is the deadline.
            self.clock.sleep(deadline.bounded(fault.seconds, clock=self.clock) or 0.0)
        self._raise(fault)

    def _raise(self, fault: Fault) -> None:
        if isinstance(fault, (Reset, Hang)):
            message = f"{self.name!r} reset this call on purpose"
            raise ConnectionResetError(message)
        if isinstance(fault, Failure):
            raise InjectedError(self.name) if fault.error is None else fault.error()

    def __repr__(self) -> str:
        return f"Chaos({self.name!r}{'' if self.enabled else ', off'})"


_TEMPLATE = """
$fault = $draw()
if $fault is not None:
    $await $inject($fault)
$inner
"""
