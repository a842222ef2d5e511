"""How many requests a provider received and what became of them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Traffic:
    """Counters of one provider.

    Requests that the kernel refused never arrive and are not counted. Each of the others ends in `answered`, in
    `abandoned` (the client left first) or as a `reset` in `faulted`; until then it is `in_flight`.
    """

    received: int = 0
    answered: Counter[int] = field(default_factory=Counter)
    faulted: Counter[str] = field(default_factory=Counter)
    abandoned: int = 0
    in_flight: int = 0

    def zero(self) -> None:
        """Forget what was counted; `in_flight` stays, because those requests are still there."""
        self.received = 0
        self.abandoned = 0
        self.answered.clear()
        self.faulted.clear()

    def as_json(self) -> dict[str, Any]:
        """Return the counters, with statuses as strings as JSON keys must be."""
        return {
            "received": self.received,
            "answered": {str(status): count for status, count in sorted(self.answered.items())},
            "faulted": dict(sorted(self.faulted.items())),
            "abandoned": self.abandoned,
            "in_flight": self.in_flight,
        }
