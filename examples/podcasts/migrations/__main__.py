"""`python -m podcasts.migrations`: bring the schema of DATABASE_URL up to date, and say what it is at."""

from __future__ import annotations

import asyncio

from alembic.runtime.migration import MigrationContext
from rich.console import Console

from podcasts.migrations import upgrade
from seawall import Seawall
from seawall.database import Database


async def main() -> None:
    """Upgrade, with the settings of the service."""
    async with Seawall.from_env(service="podcasts").database as database:
        await asyncio.to_thread(upgrade, database)
        revision = await asyncio.to_thread(current, database)
    Console().print(f"The schema is at revision [bold]{revision}[/].")


def current(database: Database) -> str | None:
    """The revision the schema is at; None before the first."""
    with database.sync_session() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


if __name__ == "__main__":
    asyncio.run(main())
