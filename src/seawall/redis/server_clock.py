"""An estimate of the server's clock, from the answers to TIME."""

from __future__ import annotations

from collections import deque

WINDOW = 60.0
"""Seconds for which an answer is trusted: quartz drifts by some 50 µs a second at worst, 3 ms in that time."""


class ServerClock:
    """How far the server's clock is ahead of ours, known to half a round trip (Cristian's algorithm, 1989).

    Of the answers of the last minute the one with the shortest round trip counts, because it can be off by the
    least. Our own clock is the loop's, so setting the time of day on this machine changes nothing.
    """

    __slots__ = ("_samples", "round_trip")

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, float]] = deque()
        self.round_trip: float | None = None
        """Seconds the last heartbeat took."""

    def heard(self, reply: list[bytes], sent: float, now: float) -> None:
        """Take in the answer to a TIME sent at `sent`; both are seconds on the loop's clock."""
        seconds, microseconds = reply
        self.round_trip = round_trip = now - sent
        offset = int(seconds) + int(microseconds) / 1e6 - (sent + now) / 2
        samples = self._samples
        # A longer round trip earlier can never count again.
        while samples and samples[-1][1] >= round_trip:
            samples.pop()
        samples.append((now, round_trip, offset))
        while samples[0][0] < now - WINDOW:
            samples.popleft()

    def time(self, now: float) -> float | None:
        """The server's time of day now, in seconds since the epoch; None before its first answer."""
        return now + self._samples[0][2] if self._samples else None

    def forget(self) -> None:
        """Begin again: the next server may have another clock."""
        self._samples.clear()
