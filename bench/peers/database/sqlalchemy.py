"""SQLAlchemy as its documentation recommends it: a pool that asks each connection whether it lives. The yardstick."""

from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from bench.database_shape import POOL, Opened

NAME = "SQLAlchemy"
DISTRIBUTIONS = ("sqlalchemy", "asyncpg")
REFERENCE = True
NOTES = {
    **dict.fromkeys(("select_by_key", "select_concurrent", "transaction", "cancelled"), "pool_pre_ping=True"),
    "fetch": "pool_pre_ping=True; an engine with isolation_level AUTOCOMMIT",
    **dict.fromkeys(("consistency", "misroutes"), "one server: the primary"),
    "failover": "one server",
}


@asynccontextmanager
async def opened(servers, *, ping=True, **arguments):
    engine = create_async_engine(
        servers.asyncpg.primary, pool_size=POOL, max_overflow=0, pool_pre_ping=ping, connect_args=arguments
    )
    session = async_sessionmaker(engine, expire_on_commit=False)
    try:
        yield Opened(session=session, fetch=fetch_on(engine), of=session)
    finally:
        await engine.dispose()


routed = failing_over = opened


def fetch_on(engine):
    """A statement as a transaction of its own: no BEGIN and no ROLLBACK."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def fetch(sql, parameters):
        async with autocommit.connect() as connection:
            return (await connection.execute(text(sql), parameters)).mappings().all()

    return fetch
