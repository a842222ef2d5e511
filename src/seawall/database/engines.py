"""SQLAlchemy's engine whose connections choose their server."""

from __future__ import annotations

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from seawall.database.cluster import Cluster
from seawall.database.routed import RoutedConnection
from seawall.database.routing import Route


def routed_engine(url: URL, cluster: Cluster, route: Route) -> AsyncEngine:
    """An engine whose connections go to the servers of `cluster`."""
    registry.register("postgresql.seawall", "seawall.database.dialect", "RoutedDialect")
    return create_async_engine(
        url.set(drivername="postgresql+seawall", query={}),
        poolclass=NullPool,
        creator=lambda: RoutedConnection(cluster, route),
        hide_parameters=True,
    )
