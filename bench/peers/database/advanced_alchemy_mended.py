"""advanced-alchemy's routing, whose constructor is mended here for SQLAlchemy 2.1, to see what its routing does."""

from contextlib import asynccontextmanager

from advanced_alchemy.routing import RoutingAsyncSession, RoutingAsyncSessionMaker
from sqlalchemy import select

from bench.database_shape import POOL, Opened, User
from bench.peers.database.advanced_alchemy import routing

NAME = "advanced-alchemy (mended)"
DISTRIBUTIONS = ("advanced-alchemy", "sqlalchemy", "asyncpg")
REFERENCE = True
_MEND = "`self.bind = None` before the session is made, which SQLAlchemy 2.1 refuses, does nothing here"
NOTES = {"consistency": _MEND, "misroutes": _MEND, "decision": _MEND}
WITHOUT = {"opened": "as advanced-alchemy", "failing_over": "one primary"}


class MendedSession(RoutingAsyncSession):
    bind = property(lambda self: None, lambda self, given: None)


class MendedMaker(RoutingAsyncSessionMaker):
    __slots__ = ()

    def __call__(self):
        return MendedSession(
            routing_config=self._routing_config,
            selectors=self._selectors,
            default_engine=self._default_engine,
            **self._session_config,
        )


@asynccontextmanager
async def routed(servers):
    maker = MendedMaker(
        routing_config=routing(servers),
        engine_config={"pool_size": POOL, "max_overflow": 0, "pool_pre_ping": True},
        session_config={"expire_on_commit": False},
    )
    try:
        yield Opened(session=maker, fetch=None, of=maker)
    finally:
        await maker.close_all()


def decisions(opened):
    session, clause = opened.of().sync_session, select(User)
    return {NAME: lambda _: session.get_bind(clause=clause)}
