"""Where log lines go: a thread writes them, so that no request waits for a disk, a pipe or a terminal."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from operator import call
from pathlib import Path
from typing import Protocol

from seawall.core import OptionError
from seawall.core.options import number

PAUSE = 0.05
"""Seconds in which lines are gathered, so that one write takes many, and the loop gives way to the thread seldom."""
_BATCH = 500
"""Lines that are written at once, and lost together where the output fails."""
_MANY = 2000
"""So many that wait end the pause."""
_AGAIN = 1.0
_SOON = 0.002


class Output(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes) -> None:
        """Write all of it. Raises `OSError`."""
        ...


class Descriptor:
    """An open file, such as standard error (2)."""

    def __init__(self, number: int = 2) -> None:
        self._number = number

    def write(self, data: bytes) -> None:
        """Write all of it."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._number, left) :]


class RotatedFile:
    """A file that becomes `name.1`, `name.2` … when it has `most_bytes`; `keep` of those stay.

    Several processes may write to it, and others (logrotate) may move it away. Raises `OptionError` when it can't be
    opened.
    """

    def __init__(self, path: Path, *, most_bytes: int = 10_000_000, keep: int = 5) -> None:
        number("LOG_FILE", "most_bytes", most_bytes, at_least=1, integer=True)
        number("LOG_FILE", "keep", keep, at_least=0, integer=True)
        self._path = path
        self._most = most_bytes
        self._keep = keep
        self._file = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise OptionError("logs", "LOG_FILE", str(path), f"a file one can write to ({error.strerror})") from error

    def write(self, data: bytes) -> None:
        """Write all of it, into a new file where this one has been moved away or is full."""
        # One look at it, as after each call of the system the thread waits for its turn.
        size = self._size()
        if size is None:
            self._open()
        elif size + len(data) > self._most:
            self._rotate()
        Descriptor(self._file).write(data)

    def _size(self) -> int | None:
        """In bytes; None where another file is at its path, or none."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return None
        return found.st_size if (found.st_dev, found.st_ino) == self._opened else None

    def _open(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            found = os.fstat(file)
        except OSError:
            os.close(file)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file, self._opened = file, (found.st_dev, found.st_ino)

    def _rotate(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            # Another process may have done it while this one waited, or be about to open the new file.
            if self._size():
                for place in range(self._keep - 1, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        self._numbered(place).replace(self._numbered(place + 1))
                if self._keep:
                    self._path.replace(self._numbered(1))
                else:
                    self._path.unlink()
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._open()

    def _numbered(self, place: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{place}")


class Sink:
    """Takes lines at once, whatever becomes of them; a thread writes them to `output`.

    most: lines that wait at one time. While the output stalls or fails, what is beyond that is dropped and counted.
    """

    def __init__(self, output: Output, *, most: int = 10_000) -> None:
        number("Sink", "most", most, at_least=1, integer=True)
        self.dropped = 0
        """Lines that were never written."""
        self.written = 0
        self._output = output
        self._most = most
        self._many = min(_MANY, most)
        self._before: list[Callable[[], None]] = []
        self._lines: deque[bytes] = deque()
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._awake = False
        self._thread: threading.Thread | None = None
        self._writing = False
        self._closing = False
        self._starting = threading.Lock()
        sinks.add(self)

    def write(self, line: bytes) -> None:
        """Take a line, which ends in a newline. Never waits, never raises."""
        self.write_all((line,))

    def write_all(self, lines: Sequence[bytes]) -> None:
        """Take several, as `write` does."""
        waiting = len(self._lines)
        if waiting + len(lines) > self._many:
            if not self._hurry.is_set():
                self._hurry.set()
            room = max(0, self._most - waiting)
            over = max(0, len(lines) - room)  # reckoned before it is added, or another thread's may be lost
            self.dropped += over
            lines = lines[:room]
        if lines:
            self._lines.extend(lines)
            if not self._awake:
                self._rouse()

    def before_flush(self, function: Callable[[], None]) -> None:
        """Have `function` called at `flush` and `close` first, to write what is kept elsewhere."""
        self._before.append(function)

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all lines are written, for so many seconds at most; whether they are."""
        until = time.monotonic() + timeout
        for function in self._before:
            function()
        # In the order in which the thread leaves them, so that no line is between two of them unseen.
        while self._lines or self._awake or self._writing:
            if self._thread is None:
                self._start()  # one that ended may not have been followed yet
            if self._thread is None or time.monotonic() > until:
                return False
            self._hurry.set()
            time.sleep(_SOON)
        return True

    def close(self, timeout: float = 2.0) -> None:
        """Write what is left, within `timeout` seconds, and end the thread; a line that comes later starts another."""
        for function in self._before:
            function()
        thread = self._thread
        if thread is not None:
            self._closing = True
            self._wake.set()
            self._hurry.set()
            thread.join(timeout)
            if thread.is_alive():
                return  # the output stalls: the thread goes on waiting for it, and ends when it has written all
        self._wake.clear()
        self._awake = False
        while self._lines:
            self._write_some()

    def forked(self) -> None:
        """This is a new process, in which the thread isn't running; what waited is the other's to write."""
        self._lines.clear()
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._starting = threading.Lock()
        self._thread = None
        self._writing = self._awake = self._closing = False

    def _rouse(self) -> None:
        self._awake = True
        self._wake.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                # A daemon: a stalled output must not keep a process from ending. `close` waits for the rest.
                thread = threading.Thread(target=self._run, name="seawall-logs", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the process ends, and `close` writes what waits; or the next line tries again
                    self._awake = False
                else:
                    self._thread = thread

    def _run(self) -> None:
        with self._starting:
            pass  # or it might end before it is known to have begun
        while True:
            self._wake.wait()
            self._hurry.wait(PAUSE)
            self._hurry.clear()
            self._writing = True
            self._wake.clear()
            self._awake = False
            while self._lines:
                self._write_some()
            self._writing = False
            if self._closing:
                self._thread, self._closing = None, False
                if self._awake:  # a line came that took this thread for one that goes on
                    self._start()
                return

    def _write_some(self) -> None:
        take = self._lines.popleft
        batch = list[bytes]()
        with contextlib.suppress(IndexError):  # another thread may write, too
            batch.extend(map(call, repeat(take, min(len(self._lines), _BATCH))))  # as far as there are any
        lines = len(batch)
        try:
            self._output.write(b"".join(batch))
        except (OSError, ValueError):  # a full disk, a closed pipe
            self.dropped += lines
            if not self._closing:
                time.sleep(_AGAIN)
        else:
            self.written += lines


sinks: weakref.WeakSet[Sink] = weakref.WeakSet()
"""Those of this process."""


def _forked() -> None:
    for sink in list(sinks):
        sink.forked()


def _ended() -> None:
    for sink in list(sinks):
        sink.close()


os.register_at_fork(after_in_child=_forked)
atexit.register(_ended)  # the last lines tell why a process has ended
