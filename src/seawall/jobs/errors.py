"""The error of handing in jobs."""

from __future__ import annotations

from seawall.core import SeawallError
from seawall.core.errors import Severity


class QueueUnavailableError(SeawallError):
    """The broker doesn't take the job. If it was cut in the midst, the job may be there: handed in again, twice."""

    code = "queue-unavailable"
    status = 503
    category = "jobs"
    severity = Severity.HIGH
    retryable = True

    def __init__(self, job: str, broker: str, reason: str, retry_after: float = 5.0) -> None:
        super().__init__(job, broker, reason, retry_after)
        self.job = job
        self.broker = broker
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        return (
            f"job {self.job!r} is not known to be enqueued: {self.broker} doesn't take it ({self.reason}); "
            f"try again in {self.retry_after:.1f} s"
        )
