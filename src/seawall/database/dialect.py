"""SQLAlchemy's asyncpg dialect over connections that choose their server."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from seawall.database.routed import RoutedConnection


class RoutedDialect(PGDialect_asyncpg):
    """As asyncpg's; what is done for a new connection its node's pool has done."""

    supports_statement_cache = True

    def on_connect(self) -> Any:
        """Nothing."""
        return lambda conn: None

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Never: it is the server's connection that is lost, this one takes another."""
        return False

    def get_driver_connection(self, connection: Any) -> Any:
        """asyncpg's connection to the server of the transaction, to the primary if none is open."""
        return connection._connection if isinstance(connection, RoutedConnection) else connection
