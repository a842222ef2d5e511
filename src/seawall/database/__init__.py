"""The database: replicas that never lie.

database = Database("postgresql://app@db-1/app", replicas=["postgresql://app@db-2/app"])

async with database, database.session() as session:
    user = await session.get(User, 1)       # from a replica that has all that this caller wrote
"""

from seawall.database.database import Database
from seawall.database.errors import (
    CommitUnknownError,
    DatabaseBusyError,
    DatabaseClosedError,
    DatabaseError,
    DatabaseUnavailableError,
    PoolTimeoutError,
    QueryTimeoutError,
    WrongServerError,
)
from seawall.database.events import (
    DatabaseEvent,
    NodeDown,
    NodeUp,
    PrimaryChanged,
    RepeatedStatement,
    SlowStatement,
    StatementRan,
    StatementRerun,
)
from seawall.database.position import Position
from seawall.database.routing import Caller, Role, Route

__all__ = [
    "Caller",
    "CommitUnknownError",
    "Database",
    "DatabaseBusyError",
    "DatabaseClosedError",
    "DatabaseError",
    "DatabaseEvent",
    "DatabaseUnavailableError",
    "NodeDown",
    "NodeUp",
    "PoolTimeoutError",
    "Position",
    "PrimaryChanged",
    "QueryTimeoutError",
    "RepeatedStatement",
    "Role",
    "Route",
    "SlowStatement",
    "StatementRan",
    "StatementRerun",
    "WrongServerError",
]
