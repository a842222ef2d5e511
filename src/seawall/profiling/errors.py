"""The error of profiling."""

from __future__ import annotations

from seawall.core import SeawallError
from seawall.core.errors import Severity


class ProfileRunningError(SeawallError):
    """A profile is being made; there is one at a time, since each would measure the other."""

    code = "profile-running"
    status = 409
    public = True
    category = "conflict"
    severity = Severity.LOW
    retryable = True

    def __init__(self, what: str, retry_after: float = 1.0) -> None:
        super().__init__(what, retry_after)
        self.what = what
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.what} is under way, and there is one profile at a time; try again in {self.retry_after:.1f} s"
