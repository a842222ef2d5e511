"""The errors of the database.

DatabaseError
├── DatabaseUnavailableError     no server can take the statement now; nothing was done
├── DatabaseClosedError          it is being left, or was: nothing new begins; nothing was done
├── PoolTimeoutError             all connections were in use for too long; nothing was done
├── DatabaseBusyError            other writers of an SQLite file took too long; nothing was done
├── QueryTimeoutError            the deadline passed while a statement ran
├── WrongServerError             a server is not what the configuration says
└── CommitUnknownError           the connection was lost while committing; nobody knows whether it was
"""

from __future__ import annotations

from seawall.core import SeawallError
from seawall.core.errors import Severity


class DatabaseError(SeawallError):
    """The root of what `seawall.database` raises."""

    code = "database"
    category = "database"
    severity = Severity.HIGH
    retryable = False


class DatabaseUnavailableError(DatabaseError):
    """No server can take the statement now. Nothing was done, so it can be tried again."""

    code = "database-unavailable"
    status = 503
    category = "database"
    severity = Severity.CRITICAL
    retryable = True

    def __init__(self, name: str, needed: str, reason: str, retry_after: float = 1.0) -> None:
        super().__init__(name, needed, reason, retry_after)
        self.name = name
        self.needed = needed
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"database {self.name!r} has no {self.needed} ({self.reason}); it looks for one, so try again"


class DatabaseClosedError(DatabaseError):
    """The database is being left, or was. Nothing was done; another process may do it."""

    code = "database-closed"
    status = 503
    category = "database"
    severity = Severity.LOW
    retryable = True

    def __init__(self, name: str, retry_after: float = 1.0) -> None:
        super().__init__(name, retry_after)
        self.name = name
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"database {self.name!r} is closing and begins nothing new; do it before its `async with` block ends"


class PoolTimeoutError(DatabaseError, TimeoutError):
    """All connections to a server were in use for too long. Nothing was done, so it can be tried again."""

    code = "database-pool-timeout"
    status = 503
    category = "database"
    severity = Severity.HIGH
    retryable = True

    def __init__(self, name: str, node: str, size: int, waited: float, retry_after: float = 1.0) -> None:
        super().__init__(name, node, size, waited, retry_after)
        self.name = name
        self.node = node
        self.size = size
        self.waited = waited
        self.retry_after = retry_after

    def __str__(self) -> str:
        return (
            f"database {self.name!r}: all {self.size} connections to {self.node} were in use for {self.waited:g} s; "
            "raise pool_size or max_overflow, or find what keeps them (a session held during a slow call, mostly)"
        )


class DatabaseBusyError(DatabaseError):
    """Other writers of an SQLite file took too long. Nothing was done, so it can be tried again."""

    code = "database-busy"
    status = 503
    category = "database"
    severity = Severity.HIGH
    retryable = True

    def __init__(self, name: str, waited: float, retry_after: float = 1.0) -> None:
        super().__init__(name, waited, retry_after)
        self.name = name
        self.waited = waited
        self.retry_after = retry_after

    def __str__(self) -> str:
        return (
            f"database {self.name!r}: others were writing for {self.waited:g} s; SQLite has one writer at a time, so "
            "keep transactions short, or use PostgreSQL"
        )


class QueryTimeoutError(DatabaseError, TimeoutError):
    """The caller's deadline has passed, and the statement was cancelled. One that writes may have been done."""

    code = "database-timeout"
    status = 504
    category = "database"
    severity = Severity.MEDIUM
    retryable = True

    def __init__(self, name: str, node: str) -> None:
        super().__init__(name, node)
        self.name = name
        self.node = node

    def __str__(self) -> str:
        return f"database {self.name!r}: the deadline passed before {self.node} gave a connection and an answer"


class WrongServerError(DatabaseError):
    """A server is not what the configuration says it is."""

    code = "database-wrong-server"
    category = "database"
    severity = Severity.CRITICAL
    retryable = False

    def __init__(self, name: str, node: str, reason: str) -> None:
        super().__init__(name, node, reason)
        self.name = name
        self.node = node
        self.reason = reason

    def __str__(self) -> str:
        return f"database {self.name!r}: {self.node} {self.reason}"


class CommitUnknownError(DatabaseError):
    """The connection was lost while committing: the transaction may have been committed, or not."""

    code = "database-commit-unknown"
    status = 503
    category = "database"
    severity = Severity.HIGH
    retryable = False

    def __init__(self, name: str, node: str) -> None:
        super().__init__(name, node)
        self.name = name
        self.node = node

    def __str__(self) -> str:
        return (
            f"database {self.name!r}: the connection to {self.node} was lost during COMMIT; look whether the change "
            "is there before it is made again"
        )
