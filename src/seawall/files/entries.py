"""What is in a folder, how old it is, and how it goes. Blocks: for a thread."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

_REMOVED = ".seawall-removed-"
"""What an entry is called from when it is given up until it is gone."""
_BLOCK = 512
"""Bytes in one of `st_blocks`, whatever the disk's own are."""


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


def look(folder: Path, now: float, stopped: Callable[[], bool]) -> Iterator[Entry | tuple[str, OSError]]:
    """The entries, or why one can't be judged. What begins with a dot is none.

    Raises `OSError` where the folder itself can't be read; one that isn't there has no entries.
    """
    with suppress(FileNotFoundError):
        device = folder.stat().st_dev
        with os.scandir(folder) as found:
            for one in found:
                if stopped():
                    return
                given_up = one.name.startswith(_REMOVED)
                if one.name.startswith(".") and not given_up:
                    continue
                try:
                    yield measure(folder, one.name, now, device, stopped, given_up=given_up)
                except FileNotFoundError:
                    continue  # gone meanwhile
                except OSError as error:
                    yield one.name, error


def measure(
    folder: Path, name: str, now: float, device: int, stopped: Callable[[], bool], *, given_up: bool = False
) -> Entry:
    """One entry. Follows no symbolic link. What has a socket, a pipe, a device or another file system in it never goes.

    Raises `OSError` where it can't be read, `InterruptedError` where it was stopped.
    """
    changed, held = 0.0, 0
    waiting = [folder / name]
    while waiting:
        if stopped():
            raise InterruptedError
        path = waiting.pop()
        found = path.lstat()
        # An archive's files are as old as it says, and a copy's as its original: what counts is when they came here. A
        # time to come says nothing.
        moments = [at for at in (found.st_mtime, found.st_ctime) if at <= now]
        changed = max(changed, max(moments, default=now))
        if found.st_nlink == 1 or stat.S_ISDIR(found.st_mode):
            held += found.st_blocks * _BLOCK
        if stat.S_ISDIR(found.st_mode) and found.st_dev == device:
            with os.scandir(path) as inside:
                waiting.extend(Path(one.path) for one in inside)
        elif not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            changed = inf
    return Entry(name, changed, held, given_up)


def remove(folder: Path, entry: Entry) -> None:
    """Remove an entry. Its name is free at once; what is in it goes then, at the next sweep if need be.

    Raises `FileNotFoundError` where somebody else did, another `OSError` where it can't be removed.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # One step: of several processes one succeeds, and nobody meets half of a directory.
        waiting = [entry.name if entry.given_up else _give_up(entry.name, top, top)]
        while waiting:
            name = waiting[-1]
            if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
                os.unlink(name, dir_fd=top)
            elif not (inside := _emptied(name, top)):
                os.rmdir(name, dir_fd=top)
            else:
                waiting += inside
                continue
            waiting.pop()
    finally:
        os.close(top)


def _emptied(name: str, top: int) -> list[str]:
    """Remove the files of a directory, and bring its directories up beside it; what these are called now.

    So nothing is too deep, there are never many open directories, and a link in the place of one leads nowhere.
    """
    here = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        brought = []
        with os.scandir(here) as found:
            for one in list(found):
                if one.is_dir(follow_symlinks=False):
                    brought.append(_give_up(one.name, here, top))
                else:
                    os.unlink(one.name, dir_fd=here)
        return brought
    finally:
        os.close(here)


def _give_up(name: str, here: int, top: int) -> str:
    given_up = f"{_REMOVED}{secrets.token_hex(8)}"
    os.rename(name, given_up, src_dir_fd=here, dst_dir_fd=top)
    return given_up
