"""The facts that health reports."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Event, Status


@dataclass(frozen=True, kw_only=True)
class HealthChanged(Event):
    """The status of a check changed, or of the whole: then `check` is `seawall.health.OVERALL`.

    old: None where it was not known, after the start. message: why it is so now; of the whole, which checks make it so.
    """

    check: str
    old: Status | None
    new: Status
    message: str
