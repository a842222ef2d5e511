"""Why an analysis could not run."""

from __future__ import annotations

from seawall.core import SeawallError
from seawall.core.errors import Severity


class AnalysisError(SeawallError):
    """The database can't be analysed. `reason` names the place and what to do, never a password."""

    code = "analysis"
    category = "database"
    severity = Severity.LOW
    retryable = False

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(database, reason)
        self.database = database
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot analyse {self.database}: {self.reason}"
