"""What the database reports."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.core import Event


@dataclass(frozen=True, kw_only=True)
class DatabaseEvent(Event):
    """The root of the database's events. database: its name. node: host:port of the server."""

    database: str
    node: str


@dataclass(frozen=True, kw_only=True)
class NodeUp(DatabaseEvent):
    """A server answers and may be used as `role`."""

    role: str


@dataclass(frozen=True, kw_only=True)
class NodeDown(DatabaseEvent):
    """A server may not be used any more."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class PrimaryChanged(DatabaseEvent):
    """Another server is the primary now; `former` was it before, None at the start."""

    former: str | None
    timeline: int


@dataclass(frozen=True, kw_only=True)
class StatementRerun(DatabaseEvent):
    """A statement that one server refused or lost is run again on another. sqlstate: the server's reason, if any."""

    sqlstate: str | None
    onto: str
