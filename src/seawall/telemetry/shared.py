"""The numbers of several worker processes as one, in a folder they share.

Each process counts in a file of its own, which it has mapped and locked, so nothing is sent, and what a killed process
has counted stays. Whoever reads adds them up. The file of a process that has ended is folded into `archive.json` and
removed, so the folder stays as small as the number of live processes, however often they are replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import mmap
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from operator import add
from pathlib import Path
from typing import Any

from seawall.core import OptionError
from seawall.telemetry.metrics import Across, Kind, Metric, memory

_logger = logging.getLogger("seawall.metrics")
_CHUNK = 65_536
"""Bytes a file grows by; a multiple of the page size."""
_PATIENCE = 1.0
"""Seconds to wait for another process that reads the folder."""
Totals = dict[str, dict[tuple[str, ...], list[float]]]
"""Of each metric by name and each set of label values, its numbers."""


class SharedFolder:
    """This process's file in `folder`, and all that is counted there.

    Raises `OptionError` when the folder can't be made or written. A full disk later costs only that what is new is
    counted in this process alone, which is logged once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._others: dict[str, _OtherFile] = {}
        self._full = False
        name = f"{os.getpid()}-{time.time_ns():x}"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            # The index comes first: a file without one has nothing to fold.
            self._index = os.open(folder / f"{name}.index", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            # Locked before it gets its name, or another process could take it for a dead one's.
            self._file = os.open(folder / f"{name}.unlocked", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            (folder / f"{name}.unlocked").rename(folder / f"{name}.values")
        except OSError as error:
            raise OptionError(
                "metrics", "folder", str(folder), f"a folder one can write to ({error.strerror})"
            ) from error
        self._name = name
        self._size = 0
        self._chunk: Any = None
        self._next = _CHUNK // 8

    # Counting.

    def __call__(self, metric: Metric, labels: tuple[str, ...]) -> tuple[Any, int]:
        """Room for a series, all zero: the numbers, and where its own begin."""
        try:
            if self._next + metric.width > _CHUNK // 8:
                self._grow(metric.width)
            index = self._next
            place = (self._size - _CHUNK) // 8 + index
            line = [metric.name, metric.kind, list(labels), place, metric.width, metric.across]
            os.write(self._index, json.dumps(line).encode() + b"\n")
        except OSError as error:
            if not self._full:
                self._full = True
                _logger.warning("new metrics are counted in this process alone: %s", error.strerror)
            return memory(metric, labels)
        self._next += metric.width
        return self._chunk, index

    def _grow(self, width: int) -> None:
        if width > _CHUNK // 8:
            raise OSError(0, f"a series of {width} numbers is too wide to be shared")
        # Really allocated: writing to a hole on a full disk would end the process.
        os.posix_fallocate(self._file, self._size, _CHUNK)
        self._chunk = memoryview(mmap.mmap(self._file, _CHUNK, offset=self._size)).cast("d")
        self._size += _CHUNK
        self._next = 0

    def close(self, *, remove: bool = False) -> None:
        """Let others fold this process's file. remove: the whole folder goes if no process counts there any more."""
        fcntl.flock(self._file, fcntl.LOCK_UN)  # what is mapped keeps the file open
        if remove:
            with self._alone() as alone:
                if alone and all(self._ended(file.stem) for file in self._folder.glob("*.values")):
                    shutil.rmtree(self._folder, ignore_errors=True)
        for file in (self._file, self._index, self._lock):
            os.close(file)

    # Reading.

    def totals(self) -> Totals:
        """Of each series in any process, its numbers now."""
        with self._alone() as alone:
            names = {file.stem for file in self._folder.glob("*.values")}
            archive = _Archive.read(self._folder / "archive.json")
            dead = [name for name in sorted(names) if alone and name != self._name and self._ended(name)]
            if dead:
                self._fold(archive, dead)
            totals = archive.totals()
            for gone in self._others.keys() - names:
                del self._others[gone]
            for name in sorted(names.difference(dead, archive.folded)):
                file = self._others.setdefault(name, _OtherFile(self._folder / name))
                file.add_to(totals, only_lasting=False)
        return totals

    def _fold(self, archive: _Archive, dead: list[str]) -> None:
        totals = archive.totals()
        for name in dead:
            if name not in archive.folded:
                self._others.setdefault(name, _OtherFile(self._folder / name)).add_to(totals, only_lasting=True)
        archive.series = totals
        archive.folded = dead
        archive.write(self._folder / "archive.json")
        # Only now: whoever is killed in between leaves files that the archive says are folded.
        for name in dead:
            self._others.pop(name, None)
            (self._folder / f"{name}.values").unlink(missing_ok=True)
            (self._folder / f"{name}.index").unlink(missing_ok=True)

    def _ended(self, name: str) -> bool:
        """Whether the process of that file holds its lock no more."""
        try:
            file = os.open(self._folder / f"{name}.values", os.O_RDONLY)
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(file)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """A block in which no other process folds; False where one was stopped in the midst of that."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    yield False
                    return
                time.sleep(0.002)
            else:
                break
        try:
            yield True
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


class _OtherFile:
    """What a process has counted; its index is read once, and on from there."""

    def __init__(self, path: Path) -> None:
        self._index = path.with_name(f"{path.name}.index")
        self._values = path.with_name(f"{path.name}.values")
        self._read = 0
        self._series: list[tuple[str, tuple[str, ...], int, int, Kind, Across]] = []

    def add_to(self, totals: Totals, *, only_lasting: bool) -> None:
        """Add its numbers. only_lasting: no gauges, which end with their process."""
        try:
            with self._index.open("rb") as file:
                file.seek(self._read)
                *lines, _torn = file.read().split(b"\n")
            self._read += sum(len(line) + 1 for line in lines)
            for line in lines:
                name, kind, labels, place, width, across = json.loads(line)
                self._series.append((name, tuple(labels), place, width, Kind(kind), Across(across)))
            data = self._values.read_bytes()
        except OSError:  # another process has folded and removed it
            return
        numbers: Sequence[float] = memoryview(data[: len(data) // 8 * 8]).cast("d")
        for name, labels, place, width, kind, across in self._series:
            if only_lasting and kind is Kind.GAUGE:
                continue
            of_metric = totals.get(name)
            if of_metric is None:
                of_metric = totals[name] = {}
            known = of_metric.get(labels)
            if known is None:
                of_metric[labels] = list(numbers[place : place + width])
            elif len(known) != width:
                continue  # a process of another version, with other buckets
            elif kind is Kind.GAUGE and across is not Across.SUM:
                known[0] = (max if across is Across.MAX else min)(known[0], numbers[place])
            elif width == 1:
                known[0] += numbers[place]
            else:
                of_metric[labels] = list(map(add, known, numbers[place : place + width]))


class _Archive:
    """What processes that have ended had counted. folded: the files of the last time, which may still be there."""

    def __init__(self, series: Totals, folded: list[str]) -> None:
        self.series = series
        self.folded = folded

    def totals(self) -> Totals:
        """A copy of it."""
        return {name: {labels: list(numbers) for labels, numbers in of.items()} for name, of in self.series.items()}

    @classmethod
    def read(cls, path: Path) -> _Archive:
        """That of `path`; an empty one where there is none, or one that isn't ours."""
        try:
            kept = json.loads(path.read_bytes())
            series: Totals = {}
            for name, labels, numbers in kept["series"]:
                series.setdefault(name, {})[tuple(labels)] = numbers
            return cls(series, kept["folded"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            _logger.warning("%s can't be read, counts of ended processes are lost: %s", path, type(error).__name__)
        return cls({}, [])

    def write(self, path: Path) -> None:
        """Replace that of `path`, all or nothing."""
        series = [[name, labels, numbers] for name, of in self.series.items() for labels, numbers in of.items()]
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"series": series, "folded": self.folded}))
        new.replace(path)
