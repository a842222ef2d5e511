"""How connections to a server are made: those of its pool, and those outside of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from seawall.database.fair import FairPool
from seawall.database.urls import asyncpg_arguments

CONNECT_TIMEOUT = 2.0
"""Seconds a connection of the probe may take; a server that is stopped accepts it and says nothing."""
_OF_SQLALCHEMY = {"prepared_statement_cache_size", "prepared_statement_name_func", "async_creator_fn"}


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """How many connections to each server there may be. Times in seconds.

    size: kept open. overflow: more of them while they are needed. wait: for a free one. recycle: age at which a
    connection is replaced. pooler: whether a pooler in transaction mode (PgBouncer) stands before the server.
    """

    size: int = 10
    overflow: int = 20
    wait: float = 30.0
    recycle: float = 3600.0
    pooler: bool = False
    connect_args: dict[str, Any] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """Connections at one time."""
        return self.size + self.overflow


def engine_of(url: URL, pool: PoolOptions) -> AsyncEngine:
    """An engine with a pool of connections to the server of `url`."""
    arguments = {"timeout": CONNECT_TIMEOUT, **arguments_of(url, pool)}
    if pool.pooler:
        # The pooler gives each transaction another server connection, which knows no statement of the last.
        arguments |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return create_async_engine(
        url.set(query={}),
        poolclass=FairPool,
        pool_size=pool.size,
        max_overflow=pool.overflow,
        pool_timeout=pool.wait,
        pool_recycle=int(pool.recycle),
        pool_use_lifo=True,
        connect_args=arguments,
    )


def arguments_of(url: URL, pool: PoolOptions) -> dict[str, Any]:
    """What asyncpg is told when it connects."""
    told = asyncpg_arguments(url)
    settings = told.get("server_settings", {}) | pool.connect_args.get("server_settings", {})
    return {**told, **pool.connect_args, "server_settings": settings}


def probe_arguments(url: URL, pool: PoolOptions) -> dict[str, Any]:
    """What asyncpg is told when it connects outside of the pool."""
    arguments: dict[str, Any] = {**url.translate_connect_args(username="user"), **arguments_of(url, pool)}
    for name in _OF_SQLALCHEMY & arguments.keys():
        del arguments[name]
    arguments["statement_cache_size"] = 0
    arguments["server_settings"]["application_name"] = "seawall-probe"
    return arguments
