"""SQLAlchemy's engines: one whose connections choose their server, and SQLite's."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from seawall.core import OptionError
from seawall.database.cluster import Cluster
from seawall.database.routed import RoutedConnection
from seawall.database.routing import Route
from seawall.database.statements import StatementClass
from seawall.database.statistics import Statistics

_POSTGRES = {"postgres", "postgresql", "postgresql+asyncpg"}
_SQLITE = {"sqlite", "sqlite+aiosqlite"}
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000")
_ALLOWED = "postgresql://user:password@host:port/database or sqlite:///path"


def parse_url(option: str, given: str) -> URL:
    """The URL, with the driver that is used for it. Raises `OptionError`, without the password."""
    try:
        url = make_url(given)
    except ArgumentError:
        raise OptionError("Database", option, "no URL", _ALLOWED) from None
    if url.drivername in _POSTGRES:
        return url.set(drivername="postgresql+asyncpg")
    if url.drivername in _SQLITE:
        return url.set(drivername="sqlite+aiosqlite")
    raise OptionError("Database", option, url.render_as_string(hide_password=True), _ALLOWED)


def routed_engine(url: URL, cluster: Cluster, route: Route) -> AsyncEngine:
    """An engine whose connections go to the servers of `cluster`."""
    registry.register("postgresql.seawall", "seawall.database.dialect", "RoutedDialect")
    return create_async_engine(
        url.set(drivername="postgresql+seawall"),
        poolclass=NullPool,
        creator=lambda: RoutedConnection(cluster, route),
        hide_parameters=True,
    )


def sqlite_engine(url: URL, statistics: Statistics) -> AsyncEngine:
    """SQLite's, with readers who don't wait for a writer, and foreign keys that hold."""
    engine = create_async_engine(url, hide_parameters=True)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        context.seawall_began = time.perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def end(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seconds = time.perf_counter() - context.seawall_began
        kind = StatementClass.READ if statement[:6].upper() == "SELECT" else StatementClass.WRITE
        statistics.count(statement, kind, "sqlite", seconds, cursor.rowcount)

    return engine
