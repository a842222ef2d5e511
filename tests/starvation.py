"""Was this process left standing while a test ran? A test that measures time then says nothing of Seawall."""

import threading
import time

STOOD_STILL = 0.02
"""Seconds a sleeping thread may wake too late before the machine counts as busy with something else."""
_STEP = 0.005


class StarvationWatch(threading.Thread):
    """Sleeps, and notes by how much it wakes too late."""

    def __init__(self) -> None:
        super().__init__(name="starvation-watch", daemon=True)
        self.worst = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            time.sleep(_STEP)
            self.worst = max(self.worst, time.monotonic() - began - _STEP)

    def begin(self) -> None:
        """A test begins."""
        self.worst = 0.0

    def starved(self) -> bool:
        """Whether the machine stood still since the test began."""
        return self.worst > STOOD_STILL

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join()
