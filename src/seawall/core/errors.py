"""The root of every error that Seawall raises.

SeawallError
├── OptionError (ValueError)          an impossible option
├── MissingExtraError (ImportError)   an integration whose package is not installed
└── ... each part adds its own
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class Severity(StrEnum):
    """How much an error matters to those who run the service: `LOW` is a caller's slip, `CRITICAL` wakes somebody."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class SeawallError(Exception):
    """An error with a stable `code`, a `message` for people, and its data as attributes.

    A subclass sets `code` (also the type of the problem body that answers a request) and `status`, passes its arguments
    to `super().__init__` in order (so that it can be pickled), keeps them as attributes, and formats its
    message in `__str__`, which runs only when somebody reads it. Never a secret, never an SQL parameter.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    """The HTTP status that answers a request which ends in this error."""
    public: ClassVar[bool] = False
    """Whether the message is for whoever sent that request; one that names what is inside is not."""
    category: ClassVar[str] = "internal"
    """What kind of thing went wrong, for counting: `validation`, `external`, `database` …"""
    severity: ClassVar[Severity] = Severity.MEDIUM
    retryable: ClassVar[bool] = False
    """Whether the same request may succeed a little later."""

    @property
    def message(self) -> str:
        """What happened, to which instance, with which value, and what to do."""
        return str(self)

    @property
    def attributes(self) -> dict[str, Any]:
        """The error's data by name."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class OptionError(SeawallError, ValueError):
    """An option has a value that cannot work."""

    code = "option"

    def __init__(self, owner: str, option: str, value: object, allowed: str) -> None:
        super().__init__(owner, option, value, allowed)
        self.owner = owner
        self.option = option
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.owner}: {self.option} is {self.value!r}; allowed: {self.allowed}"


class MissingExtraError(SeawallError, ImportError):
    """An integration needs a package that is not installed."""

    code = "missing-extra"

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(what, package, extra)
        self.what = what
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.what} needs {self.package!r}; install 'seawall[{self.extra}]'"
