"""Plain synchronous sessions, for workers that don't run an event loop."""

from __future__ import annotations

import threading
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.orm import Session

from seawall.core import MissingExtraError
from seawall.database.pools import CONNECT_TIMEOUT, PoolOptions
from seawall.database.urls import connect_timeout, pg8000_arguments


class BlockingSessions:
    """Sessions at one server at a time, each with an engine that is made when it is first needed."""

    def __init__(self, pool: PoolOptions) -> None:
        self._pool = pool
        self._engines: dict[URL, Engine] = {}
        self._making = threading.Lock()

    def at(self, url: URL) -> Session:
        """A session at the server of `url`. Raises `MissingExtraError` without a driver."""
        with self._making:
            engine = self._engines.get(url)
            if engine is None:
                engine = self._engines[url] = self._make(url)
        return Session(engine, expire_on_commit=False)

    def _make(self, url: URL) -> Engine:
        if url.get_backend_name() == "sqlite":
            return create_engine(url.set(drivername="sqlite"), hide_parameters=True)
        try:
            engine = create_engine(
                url.set(drivername="postgresql+pg8000", query={}),
                connect_args={"timeout": connect_timeout(url) or CONNECT_TIMEOUT, **pg8000_arguments(url)},
                hide_parameters=True,
                pool_size=self._pool.size,
                max_overflow=self._pool.overflow,
                pool_timeout=self._pool.wait,
                pool_recycle=int(self._pool.recycle),
                pool_pre_ping=True,  # nothing else looks after these connections
            )
        except ImportError as error:
            raise MissingExtraError("Database.sync_session", "pg8000", "database") from error

        @event.listens_for(engine, "connect")
        def made(connection: Any, record: Any) -> None:
            connection._usock.settimeout(None)  # from now on an answer may take as long as it does

        return engine

    def dispose(self) -> None:
        """Close the connections that nobody uses."""
        for engine in self._engines.values():
            engine.dispose()
