"""What is done while the shared tier is away, for the day it comes back."""

from __future__ import annotations

from seawall.cache.tier import Change

EVERYTHING = "*"
"""The tag that every entry carries."""


class Versions:
    """Versions for what no tier numbers: microseconds since 1970, each greater than all seen before."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def next(self, seconds: float) -> int:
        """The version of something that happens now, `seconds` since 1970."""
        self.last = max(int(seconds * 1_000_000), self.last + 1)
        return self.last

    def saw(self, version: int) -> None:
        """Take note of a version given by a tier."""
        self.last = max(self.last, version)


class Journal:
    """The last change of each key and tag. When there are more than `limit`, all is void when the tier returns."""

    __slots__ = ("_changes", "limit")

    def __init__(self, limit: int = 10_000) -> None:
        self.limit = limit
        self._changes: dict[tuple[str | None, str | None], Change] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, change: Change) -> None:
        """Remember `change` in place of an earlier one of the same key or tag."""
        known = self._changes.get((change.key, change.tag))
        if known is None or known.version <= change.version:
            self._changes[change.key, change.tag] = change
        if len(self._changes) > self.limit:
            everything = Change(max(change.version for change in self._changes.values()), tag=EVERYTHING)
            self._changes.clear()
            self._changes[None, EVERYTHING] = everything

    def take(self) -> list[Change]:
        """Everything remembered, in order of its versions; the journal is empty afterwards."""
        changes = sorted(self._changes.values(), key=lambda change: change.version)
        self._changes.clear()
        return changes

    def put_back(self, changes: list[Change]) -> None:
        """Remember `changes` again, where nothing newer has been added since they were taken."""
        for change in changes:
            if (known := self._changes.get((change.key, change.tag))) is None or known.version < change.version:
                self._changes[change.key, change.tag] = change


class Recent:
    """The last change of each key and tag that the tier was told of, for one that has lost what it had.

    Of more than `MOST` it knows only that all is void, and of none for longer than `KEPT_FOR` seconds.
    """

    MOST = 10_000
    KEPT_FOR = 60.0

    __slots__ = ("_changes", "_forgotten")

    def __init__(self) -> None:
        self._changes: dict[tuple[str | None, str | None], tuple[float, Change]] = {}
        self._forgotten: tuple[float, Change] | None = None

    def add(self, now: float, version: int, *, key: str | None = None, tag: str | None = None) -> None:
        """It was told of a change."""
        _, known = self._changes.pop((key, tag), (now, None))
        newest = version if known is None else max(version, known.version)
        self._changes[key, tag] = now, Change(newest, key=key, tag=tag)
        if len(self._changes) > self.MOST:
            at, oldest = self._changes.pop(next(iter(self._changes)))
            void = oldest.version if self._forgotten is None else max(oldest.version, self._forgotten[1].version)
            self._forgotten = at, Change(void, tag=EVERYTHING)

    def changes(self, now: float) -> list[Change]:
        """What it is told again."""
        known = [*self._changes.values(), *(() if self._forgotten is None else (self._forgotten,))]
        return [change for at, change in known if at >= now - self.KEPT_FOR]
