"""Run by Alembic with the connection that `podcasts.migrations.upgrade` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from podcasts.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
context.run_migrations()
