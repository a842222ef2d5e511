"""Retention: a folder that doesn't grow for ever.

    retention = Retention("uploads", max_age=48 * 3600.0)
    report = await retention.sweep()          # now; or `async with retention:` for every hour

Each entry of the folder is kept or removed as a whole: a file, or a directory with all that is in it. It is as old as
the newest thing in it. What begins with a dot stays.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from weakref import WeakKeyDictionary

from seawall.core import SYSTEM_CLOCK, Clock, Events, Health, OptionError, Status
from seawall.core.options import callable_or_none, number
from seawall.files.entries import Entry, Folder, opened
from seawall.files.events import FolderSwept
from seawall.files.report import SweepReport

T = TypeVar("T")
InUse = Callable[[str], Awaitable[bool | None]]
"""Whether an entry of this name is needed: True keeps it however old it is, False removes it before its time, and for
None its age decides."""
SETTLING = 300.0
"""Seconds for which an entry stays although nobody seems to need it: whoever made it may be about to say so."""
JITTER = 0.1
"""The share of `interval` by which a sweep may come sooner or later, so that processes don't all sweep at once."""
_MISSED = 3
"""Intervals without a sweep after which something holds it up."""
_logger = logging.getLogger("seawall.files")


@dataclass
class _Found:
    """What a sweep has come to so far."""

    kept: list[Entry] = field(default_factory=list)
    old: list[Entry] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class Retention:
    """Removes from `folder` what nobody has changed for `max_age` seconds: at the start, then every `interval` seconds.

    in_use: asked before an entry's age is, see `InUse`; so the directory of a session goes when the session has ended,
    and never before. What it raises keeps the entry. name: the part's; the folder's last component.

    An entry's age begins when it came into the folder or was last changed, as systemd-tmpfiles has it: not the time
    that an unpacked archive gives its files. Symbolic links are not followed; they are entries themselves. Whatever has
    a socket, a pipe, a device or a mounted file system in it stays.

    Any number of processes may sweep one folder. A process killed while it removes a directory leaves the rest of it
    under another name, which the next sweep removes. Files are handled in a thread; nothing waits for them but the
    sweep itself.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        max_age: float = 48 * 3600.0,
        interval: float = 3600.0,
        in_use: InUse | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: Events | None = None,
    ) -> None:
        number("Retention", "max_age", max_age, above=0)
        number("Retention", "interval", interval, above=0)
        callable_or_none("Retention", "in_use", in_use)
        self.folder = _allowed(folder)
        self.name = name or self.folder.name
        self.max_age = max_age
        self.interval = interval
        self.clock = clock
        self.events = events if events is not None else Events()
        self.last: SweepReport | None = None
        """What the last sweep did that wasn't dry; None before the first."""
        self._in_use = in_use
        self._swept_at = clock.monotonic()
        self._left: set[str] = set()
        """What this process has given up, and couldn't remove yet."""
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._task: asyncio.Task[None] | None = None

    async def sweep(self, *, dry_run: bool = False) -> SweepReport:
        """Remove now what is too old. dry_run: only tell what that would be.

        Raises nothing but the caller's own cancellation, which ends it after the entry at hand. One sweep runs at a
        time; others wait for it.
        """
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            began = self.clock.monotonic()
            report = await self._sweep(began, dry_run=dry_run)
            if not dry_run:
                self.last, self._swept_at = report, self.clock.monotonic()
                self._tell(report)
            return report

    async def _sweep(self, began: float, *, dry_run: bool) -> SweepReport:
        found = _Found()
        for entry in await self._in_thread(self._look, found):
            try:
                goes = await self._goes(entry)
            except Exception as error:  # noqa: BLE001 - the service's own function
                found.failed[entry.name] = f"in_use raised {type(error).__name__}"
                continue
            (found.old if goes else found.kept).append(entry)
            if goes and not dry_run and self._in_use is not None:
                # At once: while others are asked for, this one may be needed again.
                await self._in_thread(self._remove, found)
        if dry_run:
            found.gone = found.old
        elif found.old:
            await self._in_thread(self._remove, found)
        return SweepReport(
            removed=tuple(entry.name for entry in found.gone if not entry.given_up),
            freed=sum(entry.held for entry in found.gone),
            kept=len(found.kept),
            held=sum(entry.held for entry in found.kept),
            failed=found.failed,
            seconds=self.clock.monotonic() - began,
        )

    async def _goes(self, entry: Entry) -> bool:
        if entry.given_up:
            # Another process may be at it, unless it is this one that couldn't.
            return entry.name in self._left or self._age(entry) > SETTLING
        needed = None if self._in_use is None else await self._in_use(entry.name)
        if needed is None:
            return self._age(entry) > self.max_age
        return not needed and self._age(entry) > SETTLING

    def _age(self, entry: Entry) -> float:
        return self._now() - entry.changed

    def _now(self) -> float:
        return self.clock.now().timestamp()

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        stop = threading.Event()
        try:
            return await asyncio.to_thread(work, stop.is_set, *args)
        finally:
            stop.set()  # whoever was cancelled isn't waiting any more

    def _look(self, stopped: Callable[[], bool], into: _Found) -> list[Entry]:
        entries = []
        try:
            with opened(self.folder, self._now(), stopped) as folder:
                for found in folder.entries():
                    if isinstance(found, Entry):
                        entries.append(found)
                    else:
                        into.failed[found[0]] = _why(found[1])
        except FileNotFoundError:
            pass  # nobody has put anything into it yet
        except OSError as error:
            into.failed["."] = _why(error)
        return entries

    def _remove(self, stopped: Callable[[], bool], found: _Found) -> None:
        old, found.old = found.old, []
        try:
            with opened(self.folder, self._now(), stopped) as folder:
                for entry in old:
                    if stopped():
                        break
                    try:
                        self._remove_one(folder, entry, found)
                    except FileNotFoundError:
                        continue  # another process was faster
                    except OSError as error:
                        found.failed[entry.name] = _why(error)
        except OSError as error:
            found.failed["."] = _why(error)

    def _remove_one(self, folder: Folder, entry: Entry, found: _Found) -> None:
        # Much time may have passed since it was looked at.
        now = folder.measure(entry.name, removable=not entry.given_up)
        if now.changed > entry.changed and not entry.given_up:
            found.kept.append(now)
            return
        name = entry.name if entry.given_up else folder.give_up(entry.name)
        self._left.add(name)
        folder.remove(name)
        self._left.discard(name)
        found.gone.append(now)

    def _tell(self, report: SweepReport) -> None:
        if self.events.listeners:
            self.events.emit(
                FolderSwept(
                    folder=self.name,
                    removed=len(report.removed),
                    freed=report.freed,
                    kept=report.kept,
                    held=report.held,
                    failed=len(report.failed),
                    reason=next(iter(report.failed.values()), None),
                    seconds=report.seconds,
                )
            )

    async def __aenter__(self) -> Self:
        if self._task is not None and not self._task.done():
            message = f"retention {self.name!r} is running already"
            raise RuntimeError(message)
        self._swept_at = self.clock.monotonic()
        self._task = asyncio.create_task(self._run(), name=f"retention {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception:
                _logger.exception("folder %s can't be swept", self.name)
            await asyncio.sleep(self.interval * random.uniform(1 - JITTER, 1 + JITTER))

    async def check(self) -> Health:
        """Degraded while something can't be removed or judged, or when no sweep has ended for three intervals."""
        waited = self.clock.monotonic() - self._swept_at
        if self._task is not None and waited > _MISSED * self.interval:
            return Health(status=Status.DEGRADED, message=f"no sweep has ended for {waited:.0f} s")
        if self.last is None:
            return Health(status=Status.HEALTHY, message="not swept yet")
        return Health(status=Status.DEGRADED if self.last.failed else Status.HEALTHY, message=str(self.last))


def _allowed(folder: str | Path) -> Path:
    """The folder, absolute. Refused where more than uploads and the like must be in it."""
    allowed = "a folder of its own, with nothing in it that must stay"
    if not isinstance(folder, (str, Path)) or not str(folder).strip():
        raise OptionError("Retention", "folder", folder, allowed)
    found = Path(folder).resolve()
    for kind, where in (
        ("the home directory", Path.home),
        ("the working directory", Path.cwd),
        ("the directory of all temporary files", lambda: Path(tempfile.gettempdir())),
        ("Python itself", lambda: Path(sys.prefix)),
    ):
        with suppress(OSError, RuntimeError):
            precious = where().resolve()
            if found == precious or found in precious.parents:
                raise OptionError("Retention", "folder", str(folder), f"{allowed}; this is or holds {kind}")
    return found


def _why(error: OSError) -> str:
    """What went wrong, without the file's name."""
    return error.strerror or str(error)
