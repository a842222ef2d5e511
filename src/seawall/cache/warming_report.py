"""What warming tells of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class WarmingState(StrEnum):
    """Where a strategy's last run is."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class StrategyStatistics:
    """A strategy's last run, or the one under way.

    done, failed: jobs. total: how many there are, None while that is not known. seconds: since it started, or that
    it took. started: None before the first. last_error: the type of the last thing that was raised.
    """

    name: str
    priority: int
    every: float | None
    state: WarmingState
    done: int
    failed: int
    total: int | None
    seconds: float
    started: datetime | None
    last_error: str | None

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {**asdict(self), "started": None if self.started is None else self.started.isoformat()}


@dataclass(frozen=True, kw_only=True)
class WarmingReport:
    """What a run of one or all strategies did, in `seconds`. What a caller's deadline cut is no longer running."""

    seconds: float
    strategies: tuple[StrategyStatistics, ...]

    @property
    def done(self) -> int:
        """Jobs that succeeded."""
        return sum(each.done for each in self.strategies)

    @property
    def failed(self) -> int:
        """Jobs that failed."""
        return sum(each.failed for each in self.strategies)

    @property
    def completed(self) -> bool:
        """Whether every strategy came to its end."""
        return all(each.state is WarmingState.COMPLETED for each in self.strategies)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "seconds": self.seconds,
            "completed": self.completed,
            "done": self.done,
            "failed": self.failed,
            "strategies": [each.as_dict() for each in self.strategies],
        }
