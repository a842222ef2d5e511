"""The errors that a service raises, with what its caller may read apart from what went wrong inside.

ServiceError                          500
├── BadRequestError                   400   it cannot be understood
├── ValidationError (ValueError)      422   a field is wrong
├── AuthenticationError               401   nobody knows who asks
│   ├── InvalidCredentialsError
│   ├── InvalidTokenError
│   └── TokenExpiredError
├── AuthorizationError                403   they may not
│   ├── PermissionDeniedError
│   └── AccountSuspendedError
├── NotFoundError                     404
├── GoneError                         410
├── ConflictError                     409   it contradicts what is there
│   ├── AlreadyExistsError
│   ├── InvalidStateError
│   └── VersionConflictError                retryable: read again, change again
├── RequestTooLargeError              413
├── UnsupportedMediaTypeError         415
├── TooManyRequestsError              429   too often; a little later it works
├── QuotaExceededError                429   an allowance is used up
├── PaymentRequiredError              402
│   └── PaymentFailedError
├── ExternalApiError                  502   another service failed
│   ├── ExternalTimeoutError          504   (TimeoutError)
│   ├── ExternalUnavailableError      503
│   └── ExternalAuthenticationError   502   it does not accept our credentials
├── JobError                          500   work in the background failed
│   ├── JobTimeoutError               504   (TimeoutError)
│   └── JobQueueFullError             503
├── StorageError                      500   files and objects
│   ├── StorageUnavailableError       503
│   └── StorageFullError              507
├── DataIntegrityError                500   stored data contradicts itself
├── ConfigurationError                500
├── NotSupportedError                 501
├── OverloadedError                   503
├── MaintenanceError                  503
└── WaitableError                     503   the root of those with a `retry_after`; for one of your own

All are made alike: first what the error is about, then `detail`, which is for logs; `user_message` and `context` by
name. What circuit breakers, the cache and the database raise is declared by them.
"""

from seawall.core.errors import Severity
from seawall.errors.operations import (
    ConfigurationError,
    DataIntegrityError,
    ExternalApiError,
    ExternalAuthenticationError,
    ExternalTimeoutError,
    ExternalUnavailableError,
    JobError,
    JobQueueFullError,
    JobTimeoutError,
    MaintenanceError,
    NotSupportedError,
    OverloadedError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from seawall.errors.requests import (
    AccountSuspendedError,
    AlreadyExistsError,
    AuthenticationError,
    AuthorizationError,
    BadRequestError,
    ConflictError,
    GoneError,
    InvalidCredentialsError,
    InvalidStateError,
    InvalidTokenError,
    NotFoundError,
    PaymentFailedError,
    PaymentRequiredError,
    PermissionDeniedError,
    QuotaExceededError,
    RequestTooLargeError,
    TokenExpiredError,
    TooManyRequestsError,
    UnsupportedMediaTypeError,
    ValidationError,
    VersionConflictError,
)
from seawall.errors.service import CATEGORIES, ServiceError, Told, WaitableError

__all__ = [
    "CATEGORIES",
    "AccountSuspendedError",
    "AlreadyExistsError",
    "AuthenticationError",
    "AuthorizationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "DataIntegrityError",
    "ExternalApiError",
    "ExternalAuthenticationError",
    "ExternalTimeoutError",
    "ExternalUnavailableError",
    "GoneError",
    "InvalidCredentialsError",
    "InvalidStateError",
    "InvalidTokenError",
    "JobError",
    "JobQueueFullError",
    "JobTimeoutError",
    "MaintenanceError",
    "NotFoundError",
    "NotSupportedError",
    "OverloadedError",
    "PaymentFailedError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RequestTooLargeError",
    "ServiceError",
    "Severity",
    "StorageError",
    "StorageFullError",
    "StorageUnavailableError",
    "TokenExpiredError",
    "Told",
    "TooManyRequestsError",
    "UnsupportedMediaTypeError",
    "ValidationError",
    "VersionConflictError",
    "WaitableError",
]
