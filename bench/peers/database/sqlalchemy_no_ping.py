"""SQLAlchemy's defaults: a connection is taken to be alive until it shows that it is not."""

from bench.peers.database import sqlalchemy

NAME = "SQLAlchemy (no pre-ping)"
DISTRIBUTIONS = ("sqlalchemy", "asyncpg")
REFERENCE = True
WITHOUT = {"routed": "one server", "failing_over": "one server, as SQLAlchemy"}
NOTES = {"fetch": "an engine with isolation_level AUTOCOMMIT"}


def opened(servers):
    return sqlalchemy.opened(servers, ping=False)
