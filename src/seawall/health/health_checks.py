"""The checks of a service: what they say together, and how that changed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from seawall.core import SYSTEM_CLOCK, Clock, Events, OptionError, Status
from seawall.core.options import number
from seawall.health.check import Check
from seawall.health.events import HealthChanged
from seawall.health.probe import Probe
from seawall.health.report import Report, report

OVERALL = "overall"
"""The name of the whole in events and in the history; no check can have it."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """The status of a check, or of the whole, became another. old: None where it was not known. at: when, in UTC."""

    check: str
    old: Status | None
    new: Status
    at: datetime
    message: str


class HealthChecks:
    """Asks all checks at once, as seldom as possible.

        health = HealthChecks([Check("database", ping), Check("disk", disk_space("/"), critical=False)])
        report = await health.run()

    A check that is ill makes the whole as ill; one that is not critical makes it degraded at worst.
    history: changes kept of each check, and of the whole. events: gets a `HealthChanged` for each change.

    It may be asked any number of times at once, from one event loop.
    """

    def __init__(
        self,
        checks: Iterable[Check] = (),
        *,
        history: int = 100,
        clock: Clock = SYSTEM_CLOCK,
        events: Events | None = None,
    ) -> None:
        number("HealthChecks", "history", history, at_least=1, integer=True)
        self.clock = clock
        self.events = events if events is not None else Events()
        self._probes: dict[str, Probe] = {}
        self._overall: Status | None = None
        self._history: dict[str, deque[Change]] = {OVERALL: deque(maxlen=history)}
        for check in checks:
            self.add(check)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks, in the order they were added."""
        return tuple(probe.check for probe in self._probes.values())

    def add(self, check: Check) -> None:
        """Ask `check` too, from the next run on. Raises `OptionError` where its name is taken."""
        if check.name in self._history:
            taken = ", ".join(map(repr, self._history))
            raise OptionError("HealthChecks", "name", check.name, f"one that is not among {taken}")
        self._probes[check.name] = Probe(check, clock=self.clock, changed=self._note)
        self._history[check.name] = deque(maxlen=self._history[OVERALL].maxlen)

    async def run(self) -> Report:
        """What every check found, at most its time to live ago. Raises nothing but the caller's own cancellation.

        Takes as long as the slowest check whose answer is too old, its timeout at most. Whoever asks while a check is
        under way waits for that one; a caller who is cancelled leaves it to the others.
        """
        under_way = [run for probe in self._probes.values() if (run := probe.refresh()) is not None]
        if under_way:
            await asyncio.wait(under_way)
        found = report({name: probe.finding() for name, probe in self._probes.items()})
        # Here and not after each check, or one that recovers while another fails would make the whole well in between.
        if found.status != self._overall:
            old, self._overall = self._overall, found.status
            self._note(OVERALL, old, found.status, found.message)
        return found

    def history(self) -> dict[str, tuple[Change, ...]]:
        """The last changes by name of the check, `OVERALL` first, each oldest first."""
        return {name: tuple(changes) for name, changes in self._history.items()}

    def _note(self, name: str, old: Status | None, new: Status, message: str) -> None:
        self._history[name].append(Change(check=name, old=old, new=new, at=self.clock.now(), message=message))
        if self.events.listeners:
            self.events.emit(HealthChanged(check=name, old=old, new=new, message=message))
