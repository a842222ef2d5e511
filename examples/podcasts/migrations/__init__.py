"""The schema's history, told to the database when the service starts, or by `python -m podcasts.migrations`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from seawall.core import Health, Status
from seawall.database import Database

LOCK = 7_206_501
"""Held while it is told, so that processes which start together do it one after the other."""


def configuration() -> Config:
    """Alembic's, without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema up to `revision`; blocks. `database` has been entered, its primary is there."""
    with database.sync_session() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        session.commit()


class Migrations:
    """A part that upgrades the schema before anybody is served."""

    name = "migrations"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(upgrade, self._database)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to end."""

    async def check(self) -> Health:
        """Healthy: the service would not have started otherwise."""
        return Health(status=Status.HEALTHY)
