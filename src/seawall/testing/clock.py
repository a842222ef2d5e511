"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A `Clock` for tests: give it to what is tested, and `advance` it. `sleep` advances it too.

    A `VirtualTimeLoop` on it moves it to the next timer whenever all its tasks wait.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    def now(self) -> datetime:
        """The start plus what has elapsed."""
        return self._start + timedelta(seconds=self._elapsed)

    def sleep(self, seconds: float, /) -> None:
        """Advance by `seconds`; takes no time."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move forward. A clock never goes backwards: a negative number is refused."""
        if not seconds >= 0:
            message = f"a clock can't go backwards: advance({seconds!r})"
            raise ValueError(message)
        self._elapsed += seconds

    def advance_to(self, moment: float) -> None:
        """Move to a reading of `monotonic()`, exactly; nothing if it has passed."""
        self._elapsed = max(self._elapsed, moment)

    def __repr__(self) -> str:
        return f"FakeClock({self._elapsed:g} s)"
