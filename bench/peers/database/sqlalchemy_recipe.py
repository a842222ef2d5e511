"""The routing session of SQLAlchemy's documentation: flushes, UPDATE and DELETE to the primary, all else anywhere."""

import random
from contextlib import asynccontextmanager

from sqlalchemy import Delete, Insert, Update, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from bench.database_shape import POOL, Opened, User

NAME = "SQLAlchemy (get_bind recipe)"
DISTRIBUTIONS = ("sqlalchemy", "asyncpg")
REFERENCE = True
WITHOUT = {"opened": "as SQLAlchemy", "failing_over": "one primary"}


@asynccontextmanager
async def routed(servers):
    options = {"pool_size": POOL, "max_overflow": 0, "pool_pre_ping": True}
    urls = servers.asyncpg
    leader = create_async_engine(urls.primary, **options)
    followers = [create_async_engine(url, **options) for url in urls.replicas]

    class RoutingSession(Session):
        def get_bind(self, mapper=None, clause=None, **arguments):
            if self._flushing or isinstance(clause, (Insert, Update, Delete)):
                return leader.sync_engine
            return random.choice(followers).sync_engine

    session = async_sessionmaker(sync_session_class=RoutingSession, expire_on_commit=False)
    try:
        yield Opened(session=session, fetch=None, of=session)
    finally:
        for engine in (leader, *followers):
            await engine.dispose()


def decisions(opened):
    session, clause = opened.of().sync_session, select(User)
    return {NAME: lambda _: session.get_bind(clause=clause)}
