"""advanced-alchemy as it is: its session configuration, and the one with read replicas."""

from contextlib import asynccontextmanager

from advanced_alchemy.config import AsyncSessionConfig, EngineConfig, SQLAlchemyAsyncConfig
from advanced_alchemy.config.routing import RoutingConfig

from bench.database_shape import POOL, Opened
from bench.peers.database.sqlalchemy import fetch_on

NAME = "advanced-alchemy"
DISTRIBUTIONS = ("advanced-alchemy", "sqlalchemy", "asyncpg")
WITHOUT = {"failing_over": "one primary"}
_PLAIN = "without read replicas; pool_pre_ping=True"
NOTES = {
    **dict.fromkeys(("select_by_key", "select_concurrent", "transaction", "cancelled"), _PLAIN),
    "fetch": f"{_PLAIN}; SQLAlchemy's engine with isolation_level AUTOCOMMIT",
}


def engine_config():
    return EngineConfig(pool_size=POOL, max_overflow=0, pool_pre_ping=True)


def routing(servers):
    urls = servers.asyncpg
    return RoutingConfig(primary_connection_string=urls.primary, read_replicas=list(urls.replicas))


@asynccontextmanager
async def opened(servers):
    config = SQLAlchemyAsyncConfig(
        connection_string=servers.asyncpg.primary,
        engine_config=engine_config(),
        session_config=AsyncSessionConfig(expire_on_commit=False),
    )
    engine = config.get_engine()
    try:
        yield Opened(session=config.create_session_maker(), fetch=fetch_on(engine))
    finally:
        await engine.dispose()


@asynccontextmanager
async def routed(servers):
    config = SQLAlchemyAsyncConfig(
        routing_config=routing(servers),
        engine_config=engine_config(),
        session_config=AsyncSessionConfig(expire_on_commit=False),
    )
    maker = config.create_session_maker()
    maker()  # its session can be made, or this contender ends here
    try:
        yield Opened(session=maker, fetch=None, of=maker)
    finally:
        await maker.close_all()


def decisions(opened):
    opened.of()
