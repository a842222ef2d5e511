"""What is in a folder, how old it is, and how it goes. Blocks: for a thread."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

_REMOVED = ".seawall-removed-"
"""What an entry is called from when it is given up until it is gone."""
_BLOCK = 512
"""Bytes in one of `st_blocks`, whatever the disk's own are."""
_LONG = 2_000
"""Characters of a path after which it begins anew: the kernel takes 4,095 bytes at a time."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder: a file, a symbolic link, or a directory with all that is in it.

    changed: seconds of the epoch, of the newest thing in it; infinite for what never goes. held: bytes on the disk that
    its removal frees. given_up: being removed, or it was by a process that didn't live to see the end of it.
    """

    name: str
    changed: float
    held: int
    given_up: bool = False


class Folder:
    """A folder that is open, as long as it is the one at `path`; `opened` makes them.

    now: seconds of the epoch. stopped: whether to give up, with `InterruptedError`.
    """

    def __init__(self, path: Path, descriptor: int, now: float, stopped: Callable[[], bool]) -> None:
        self._path = path
        self._top = descriptor
        self._now = now
        self._stopped = stopped
        self._device = os.fstat(descriptor).st_dev
        self._mounted = _mounted()

    def entries(self) -> Iterator[Entry | tuple[str, OSError]]:
        """The entries, or why one can't be judged. What begins with a dot is none."""
        with os.scandir(self._top) as found:
            for one in found:
                if one.name.startswith(".") and not one.name.startswith(_REMOVED):
                    continue
                try:
                    yield self.measure(one.name)
                except FileNotFoundError:
                    continue  # gone meanwhile
                except InterruptedError:
                    return
                except OSError as error:
                    yield one.name, error

    def measure(self, name: str, *, removable: bool = False) -> Entry:
        """One entry. Follows no link. What has a socket, a pipe, a device or another file system in it never goes.

        Raises `OSError` where it can't be read; if `removable`, also where a directory in it can't be emptied.
        """
        given_up = name.startswith(_REMOVED)
        look = _Look(self, removable=removable)
        look.at(self._top, name, str(self._path))
        return Entry(name, look.newest if given_up else max(look.newest, look.never), look.held, given_up)

    def give_up(self, name: str) -> str:
        """Give an entry up, in one step: of several processes one succeeds, and nobody meets half of a directory.

        Returns what it is called until it is gone. Raises `FileNotFoundError` where another was faster.
        """
        return _give_up(name, self._top, self._top)

    def remove(self, name: str) -> None:
        """Remove what was given up. Raises `OSError` where something in it stays."""
        waiting = [name]
        while waiting:
            name = waiting[-1]
            if not stat.S_ISDIR(os.lstat(name, dir_fd=self._top).st_mode):
                os.unlink(name, dir_fd=self._top)
            elif inside := self._emptied(name):
                waiting += inside
                continue
            else:
                os.rmdir(name, dir_fd=self._top)
            waiting.pop()

    def _emptied(self, name: str) -> list[str]:
        """Remove the files of a directory, and bring its directories up beside it; what these are called now.

        So nothing is too deep, there are never many open directories, and a link in the place of one leads nowhere.
        """
        here = os.open(name, _DIRECTORY, dir_fd=self._top)
        try:
            brought = []
            with os.scandir(here) as found:
                for one in list(found):
                    if one.is_dir(follow_symlinks=False):
                        brought.append(_give_up(one.name, here, self._top))
                    else:
                        os.unlink(one.name, dir_fd=here)
            return brought
        finally:
            os.close(here)


@contextmanager
def opened(path: Path, now: float, stopped: Callable[[], bool]) -> Iterator[Folder]:
    """A block with the folder. Raises `OSError` where it can't be opened, or has become a link to another."""
    if path.resolve() != path:
        message = "it has become a link to another folder"
        raise OSError(message)
    descriptor = os.open(path, _DIRECTORY)
    try:
        yield Folder(path, descriptor, now, stopped)
    finally:
        os.close(descriptor)


class _Look:
    """What is found in an entry. newest, never: when it was changed, and infinity if it never goes."""

    def __init__(self, folder: Folder, *, removable: bool) -> None:
        self._folder = folder
        self._removable = removable
        self._links: dict[tuple[int, int], int] = {}
        self.newest, self.never, self.held = 0.0, -inf, 0

    def at(self, base: int, name: str, above: str) -> None:
        """Look at `name` in the open directory `base`, whose path is `above`, and at all that is in it."""
        waiting = [name]
        while waiting:
            path = waiting.pop()
            if self._folder._stopped():
                raise InterruptedError
            found = os.lstat(path, dir_fd=base)
            self._count(found)
            if not stat.S_ISDIR(found.st_mode):
                continue
            if found.st_dev != self._folder._device or f"{above}/{path}" in self._folder._mounted:
                self.never = inf
                continue
            here = os.open(path, _DIRECTORY, dir_fd=base)
            try:
                if self._removable and not os.access(path, os.W_OK | os.X_OK, dir_fd=base, effective_ids=True):
                    os.lstat(path, dir_fd=base)  # or it is gone
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                with os.scandir(here) as inside:
                    names = [one.name for one in inside]
                if len(path) < _LONG:
                    waiting += [f"{path}/{one}" for one in names]
                else:
                    for one in names:
                        self.at(here, one, f"{above}/{path}")
            finally:
                os.close(here)

    def _count(self, found: os.stat_result) -> None:
        now = self._folder._now
        # An archive's files are as old as it says, and a copy's as its original: what counts is when they came here.
        # When that is still to come by our clock, it was just now.
        self.newest = max(self.newest, min(found.st_ctime, now), found.st_mtime if found.st_mtime <= now else 0.0)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            self.never = inf
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            # What has names elsewhere stays on the disk.
            seen = self._links[found.st_dev, found.st_ino] = self._links.get((found.st_dev, found.st_ino), 0) + 1
            if seen < found.st_nlink:
                return
        self.held += found.st_blocks * _BLOCK


def _mounted() -> frozenset[str]:
    """Where something is mounted; unlike the number of its device this tells of parts of the same disk, too."""
    with suppress(OSError):
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
        places = (line.split()[4].decode("unicode_escape").encode("latin-1") for line in lines)
        return frozenset(os.fsdecode(place) for place in places)
    return frozenset()


def _give_up(name: str, here: int, top: int) -> str:
    given_up = f"{_REMOVED}{secrets.token_hex(8)}"
    os.rename(name, given_up, src_dir_fd=here, dst_dir_fd=top)
    return given_up
