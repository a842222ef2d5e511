"""What the database reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
class StatementRan(DatabaseEvent):
    """A statement was run in `seconds`, for work whose trace is recorded. statement: without its values.

    kind: what it is to the router: read, write, transaction or session. rows: -1 where the driver doesn't tell.
    error: what it failed with. sqlstate: the server's reason, if it gave one.
    """

    statement: str
    kind: str
    seconds: float
    rows: int
    error: BaseException | None = None
    sqlstate: str | None = None


@dataclass(frozen=True, kw_only=True)
class SlowStatement(DatabaseEvent):
    """A statement took `seconds`. plan: PostgreSQL's, as JSON, its values left out; None where there is none.

    origin: the line of the service's code that ran it.
    """

    statement: str
    seconds: float
    rows: int
    origin: str | None
    plan: Any


@dataclass(frozen=True, kw_only=True)
class RepeatedStatement(DatabaseEvent):
    """One request, or another caller, ran the same read `count` times: one statement for all would do."""

    statement: str
    count: int
    origin: str | None


@dataclass(frozen=True, kw_only=True)
class StatementRerun(DatabaseEvent):
    """A statement that one server refused or lost is run again on another. sqlstate: the server's reason, if any."""

    sqlstate: str | None
    onto: str
