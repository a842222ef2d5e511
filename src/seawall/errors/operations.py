"""What failed on the service's own side, or on that of another one."""

from __future__ import annotations

from typing import Unpack

from seawall.core.errors import Severity
from seawall.errors.service import ServiceError, Told, WaitableError


class ExternalApiError(WaitableError):
    """The other `service` failed, with `upstream_status` where it answered. Callers aren't told which one."""

    code, status, category, severity = "external", 502, "external", Severity.HIGH
    default_user_message = "A service that we need has failed; please try again in a moment."
    _happened = "failed"

    def __init__(
        self,
        service: str,
        detail: str = "",
        *,
        upstream_status: int | None = None,
        retry_after: float | None = None,
        **told: Unpack[Told],
    ) -> None:
        super().__init__(detail, retry_after=retry_after, **told)
        self.args = (service, detail)
        self.service = service
        self.upstream_status = upstream_status

    def _about(self) -> str:
        answered = "" if self.upstream_status is None else f" with status {self.upstream_status}"
        return f"{self.service} {self._happened}{answered}"


class ExternalTimeoutError(ExternalApiError, TimeoutError):
    """The other `service` did not answer in time. It may have done what it was asked to."""

    code, status, _happened = "external-timeout", 504, "did not answer in time"
    default_user_message = "A service that we need took too long; please try again in a moment."


class ExternalUnavailableError(ExternalApiError):
    """The other `service` can't be reached, or says that it is not available."""

    code, status, _happened = "external-unavailable", 503, "is unavailable"
    default_user_message = "A service that we need is unavailable; please try again in a moment."


class ExternalAuthenticationError(ExternalApiError):
    """The other `service` does not accept our credentials: somebody has to give us others."""

    code, severity, _happened = "external-authentication", Severity.CRITICAL, "does not accept our credentials"
    retryable = False
    default_user_message = "A service that we need has failed."


class JobError(ServiceError):
    """The `job` of that name failed, the one with `job_id` where there is one."""

    code, category, severity = "job-failed", "jobs", Severity.HIGH
    default_user_message = "Work in the background has failed."
    _happened = "failed"

    def __init__(self, job: str, job_id: object = None, detail: str = "", **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.args = (job, job_id, detail)
        self.job = job
        self.job_id = job_id

    def _about(self) -> str:
        named = f"job {self.job!r}" if self.job_id is None else f"job {self.job!r} {self.job_id!s}"
        return f"{named} {self._happened}"


class JobTimeoutError(JobError, TimeoutError):
    """The `job` took longer than it may."""

    code, status, retryable, _happened = "job-timeout", 504, True, "took too long"
    default_user_message = "Work in the background took too long."


class JobQueueFullError(WaitableError):
    """The `queue` takes no more jobs now."""

    code, category, severity = "job-queue-full", "jobs", Severity.HIGH
    default_user_message = "There is too much to do at the moment; please try again later."

    def __init__(self, queue: str, detail: str = "", *, retry_after: float | None = None, **told: Unpack[Told]) -> None:
        super().__init__(detail, retry_after=retry_after, **told)
        self.args = (queue, detail)
        self.queue = queue

    def _about(self) -> str:
        return f"job queue {self.queue!r} is full"


class StorageError(ServiceError):
    """Files or objects could not be read or written."""

    code, category, severity = "storage", "storage", Severity.HIGH
    default_user_message = "A file could not be read or written."


class StorageUnavailableError(WaitableError, StorageError):
    """The storage can't be reached."""

    code, category, severity = "storage-unavailable", "storage", Severity.HIGH
    default_user_message = "Files can't be read or written at the moment; please try again later."


class StorageFullError(StorageError):
    """There is no room left."""

    code, status, severity = "storage-full", 507, Severity.CRITICAL
    default_user_message = "There is no room for it at the moment."


class DataIntegrityError(ServiceError):
    """Stored data contradicts itself: somebody has to look."""

    code, category, severity = "data-integrity", "data", Severity.CRITICAL


class ConfigurationError(ServiceError):
    """The service can't work as it is configured. `option` names what is wrong."""

    code, category, severity = "configuration", "configuration", Severity.CRITICAL

    def __init__(self, option: str, detail: str = "", **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.args = (option, detail)
        self.option = option

    def _about(self) -> str:
        return f"configuration of {self.option}"


class NotSupportedError(ServiceError):
    """The service can't do this, and nothing is broken."""

    code, status, severity = "not-supported", 501, Severity.LOW
    default_user_message = "This isn't supported."


class OverloadedError(WaitableError):
    """There is too much to do."""

    code, severity = "overloaded", Severity.HIGH
    default_user_message = "There is too much to do at the moment; please try again later."


class MaintenanceError(WaitableError):
    """The service is closed on purpose, for a while."""

    code = "maintenance"
    default_user_message = "We are working on it; please come back later."
