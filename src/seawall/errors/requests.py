"""What is wrong with a request, or with who sent it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from seawall.core.errors import Severity
from seawall.errors.service import ServiceError, Told, WaitableError


class BadRequestError(ServiceError):
    """The request cannot be understood."""

    code, status, category, severity = "bad-request", 400, "validation", Severity.LOW
    default_user_message = "The request can't be understood."


class ValidationError(ServiceError, ValueError):
    """`field` is wrong, for a `reason` which the caller reads. Raised in a pydantic validator, it is told as well."""

    code, status, category, severity = "validation", 422, "validation", Severity.LOW
    default_user_message = "{field}: {reason}"
    shown = ("field", "reason")

    def __init__(self, field: str, reason: str = "is wrong", detail: str = "", **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.args = (field, reason, detail)
        self.field = field
        self.reason = reason

    @property
    def members(self) -> dict[str, Any]:
        """As other errors have them, and `errors` as several wrong fields have it."""
        return super().members | {"errors": [{"field": self.field, "message": self.reason, "code": "invalid"}]}

    def _about(self) -> str:
        return f"{self.field} {self.reason}"


class AuthenticationError(ServiceError):
    """Nobody knows who asks."""

    code, status, category, severity = "authentication", 401, "authentication", Severity.LOW
    default_user_message = "Please sign in."
    challenge: ClassVar[str] = "Bearer"
    """The `WWW-Authenticate` header, which HTTP wants with a 401."""

    @property
    def headers(self) -> dict[str, str]:
        """The challenge."""
        return {"WWW-Authenticate": self.challenge}


class InvalidCredentialsError(AuthenticationError):
    """Name or password is wrong; which one, nobody is told."""

    code, default_user_message = "invalid-credentials", "The name or the password is wrong."


class InvalidTokenError(AuthenticationError):
    """The token is none of ours, or was revoked."""

    code, default_user_message = "invalid-token", "This sign-in isn't valid; please sign in again."
    challenge = 'Bearer error="invalid_token"'


class TokenExpiredError(AuthenticationError):
    """The token was valid once."""

    code, default_user_message = "token-expired", "Your sign-in has expired; please sign in again."
    challenge = 'Bearer error="invalid_token", error_description="expired"'


class AuthorizationError(ServiceError):
    """Who asks is known, and may not."""

    code, status, category, severity = "authorization", 403, "authorization", Severity.LOW
    default_user_message = "You may not do this."


class PermissionDeniedError(AuthorizationError):
    """A `permission` is missing. Callers aren't told which."""

    code = "permission-denied"

    def __init__(self, permission: str, detail: str = "", **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.args = (permission, detail)
        self.permission = permission

    def _about(self) -> str:
        return f"permission {self.permission!r} is missing"


class AccountSuspendedError(AuthorizationError):
    """The account may do nothing for now."""

    code, default_user_message = "account-suspended", "This account is suspended."


class _ResourceError(ServiceError):
    """An error about the `resource` of that kind, the one with `resource_id` where there is one."""

    severity = Severity.LOW
    shown = ("resource", "resource_id")
    _happened: ClassVar[str] = ""

    def __init__(self, resource: str, resource_id: object = None, detail: str = "", **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.args = (resource, resource_id, detail)
        self.resource = resource
        self.resource_id = resource_id

    def _about(self) -> str:
        named = self.resource if self.resource_id is None else f"{self.resource} {self.resource_id!s}"
        return f"{named} {self._happened}".rstrip()


class NotFoundError(_ResourceError):
    """There is no such `resource`, or none that the caller may know of."""

    code, status, category, _happened = "not-found", 404, "not-found", "was not found"
    default_user_message = "There is no such {resource}."


class GoneError(_ResourceError):
    """There was such a `resource`, and there will not be again."""

    code, status, category, _happened = "gone", 410, "not-found", "is gone"
    default_user_message = "This {resource} is gone."


class ConflictError(_ResourceError):
    """The request contradicts what is there."""

    code, status, category, _happened = "conflict", 409, "conflict", "is in conflict"
    default_user_message = "This {resource} is not in a state that allows it."


class AlreadyExistsError(ConflictError):
    """There is such a `resource` already."""

    code, _happened = "already-exists", "exists already"
    default_user_message = "There is such a {resource} already."


class InvalidStateError(ConflictError):
    """The `resource` is in a state that does not allow it."""

    code, _happened = "invalid-state", "is in a state that does not allow it"


class VersionConflictError(ConflictError):
    """Somebody else changed the `resource` meanwhile."""

    code, retryable, _happened = "version-conflict", True, "was changed meanwhile"
    default_user_message = "Somebody else has changed this {resource} meanwhile; please look at it again."


class RequestTooLargeError(ServiceError):
    """The body is above `limit` bytes."""

    code, status, category, severity = "request-too-large", 413, "limit", Severity.LOW
    default_user_message = "The request is too large."
    shown = ("limit",)

    def __init__(self, limit: int | None = None, detail: str = "", **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.args = (limit, detail)
        self.limit = limit

    def _about(self) -> str:
        return "" if self.limit is None else f"the body is above {self.limit} bytes"


class UnsupportedMediaTypeError(ServiceError):
    """The body has a `media_type` that is not in `supported`."""

    code, status, category, severity = "unsupported-media-type", 415, "validation", Severity.LOW
    default_user_message = "This kind of content isn't supported."
    shown = ("supported",)

    def __init__(self, media_type: str, supported: Sequence[str] = (), detail: str = "", **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.args = (media_type, supported, detail)
        self.media_type = media_type
        self.supported = list(supported)

    def _about(self) -> str:
        return f"content of type {self.media_type!r}"


class TooManyRequestsError(WaitableError):
    """A caller asks too often."""

    code, status, category = "too-many-requests", 429, "limit"
    default_user_message = "Too many requests; please wait a little."


class QuotaExceededError(ServiceError):
    """The allowance called `quota` is used up: `used` of `limit`.

    It is a 429, not a 402: whether paying helps is for the message. Waiting a little does not, so it isn't retryable.
    """

    code, status, category, severity = "quota-exceeded", 429, "limit", Severity.LOW
    default_user_message = "Your allowance of {quota} is used up."
    shown = ("quota", "limit", "used")

    def __init__(
        self,
        quota: str,
        limit: float | None = None,
        used: float | None = None,
        detail: str = "",
        *,
        retry_after: float | None = None,
        **told: Unpack[Told],
    ) -> None:
        super().__init__(detail, **told)
        self.args = (quota, limit, used, detail)
        self.quota = quota
        self.limit = limit
        self.used = used
        self.retry_after = retry_after

    def _about(self) -> str:
        return f"quota {self.quota!r} is used up ({self.used} of {self.limit})"


class PaymentRequiredError(ServiceError):
    """It has to be paid for first."""

    code, status, category, severity = "payment-required", 402, "payment", Severity.LOW
    default_user_message = "This has to be paid for."


class PaymentFailedError(PaymentRequiredError):
    """The payment was refused. `decline_code` is the provider's reason, which callers aren't told."""

    code, default_user_message = "payment-failed", "The payment was refused; please use another means of payment."

    def __init__(self, detail: str = "", *, decline_code: str | None = None, **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.decline_code = decline_code

    def _about(self) -> str:
        return "payment refused" if self.decline_code is None else f"payment refused ({self.decline_code})"
