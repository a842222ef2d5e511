"""The facts that profiling reports."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Event


@dataclass(frozen=True, kw_only=True)
class LoopStalled(Event):
    """Something held the event loop, and everybody else waited.

    seconds: how long, at least. cpu: seconds of it in which the loop's thread computed; in the others it was blocked,
    or the machine had no time for it. stack: what it was doing, `file:line function`, outermost first; no values.
    count: the stalls with these functions since the last event of them, this one included.
    """

    seconds: float
    cpu: float
    stack: tuple[str, ...]
    count: int
