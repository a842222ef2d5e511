"""The root of a service's errors, and what its classes must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any, ClassVar, TypedDict, Unpack

from seawall.core import OptionError, SeawallError
from seawall.core.errors import Severity

CATEGORIES = frozenset(
    """
    authentication authorization availability cache configuration conflict data database external internal jobs
    limit not-found payment redis storage timeout validation
    """.split()  # noqa: SIM905
)
"""The categories of Seawall's own errors. Those of a service may have others."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Told(TypedDict, total=False):
    """What every error takes by name."""

    user_message: str | None
    """What the caller may read, instead of the class's `default_user_message`."""
    context: Mapping[str, Any] | None
    """Whatever helps whoever reads the log, by name."""


class ServiceError(SeawallError):
    """The root of a service's own errors.

        class CampaignFullError(ConflictError):
            code, default_user_message = "campaign-full", "This campaign takes no more episodes."

    `str(error)` is for logs and may name what is inside. `user_message` is all that a caller reads, besides the
    attributes named in `shown`. An error is pickled and copied whole, whatever arguments a subclass takes, as long as
    its attributes can be.
    """

    code = "service"
    default_user_message: ClassVar[str] = "Something went wrong on our side."
    """`{name}` in it stands for an attribute of that name."""
    shown: ClassVar[tuple[str, ...]] = ()
    """The attributes that a problem body has as members; `field` and `resource`, for example."""

    def __init__(
        self, detail: str = "", *, user_message: str | None = None, context: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.context = dict(context or {})
        self._user_message = user_message

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _check(cls)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args), dict(vars(self))

    @property
    def user_message(self) -> str:
        """What the caller may read."""
        if self._user_message is not None:
            return self._user_message
        return self.default_user_message.format_map(_Known(vars(self)))

    @property
    def members(self) -> dict[str, Any]:
        """What a problem body says besides the message: the attributes in `shown` that have a value."""
        found = {name: getattr(self, name, None) for name in self.shown}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def headers(self) -> dict[str, str]:
        """What the response has in its header; `Retry-After` comes from `retry_after` by itself."""
        return {}

    def _about(self) -> str:
        """What the error is about, for logs."""
        return ""

    def __str__(self) -> str:
        return ": ".join(str(part) for part in (self._about(), self.detail) if part) or self.user_message


class _Known(dict[str, Any]):
    """Attributes by name; a name that is none stands for itself, since a message must not cost the answer."""

    def __missing__(self, name: str) -> str:
        return name


def _made_again(kind: type[ServiceError], args: tuple[Any, ...]) -> ServiceError:
    return kind.__new__(kind, *args)


def _check(kind: type[ServiceError]) -> None:
    """Refuse a class that could not answer a request."""

    def refuse(option: str, value: object, allowed: str) -> None:
        raise OptionError(kind.__name__, option, value, allowed)

    for option in ("code", "category"):
        value = getattr(kind, option)
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            refuse(option, value, "lowercase words joined by '-'")
    # A subclass may give the status in its own way, as a property for instance.
    if isinstance(kind.status, int) and not 400 <= kind.status <= 599:  # noqa: PLR2004 - what HTTP calls an error
        refuse("status", kind.status, "400 to 599")
    if not isinstance(kind.severity, Severity):
        refuse("severity", kind.severity, ", ".join(Severity))
    try:
        names = [name for _, name, *_ in Formatter().parse(kind.default_user_message) if name is not None]
    except ValueError as error:
        names = [str(error)]
    if not all(name.isidentifier() for name in names):
        refuse("default_user_message", kind.default_user_message, "text; {name} for an attribute, {{ for a brace")


class WaitableError(ServiceError):
    """The root of what may work later. `retry_after` is in seconds, or None where nobody can know."""

    code, status, category, severity, retryable = "try-later", 503, "availability", Severity.LOW, True
    default_user_message = "This isn't possible at the moment; please try again later."

    def __init__(self, detail: str = "", *, retry_after: float | None = None, **told: Unpack[Told]) -> None:
        super().__init__(detail, **told)
        self.retry_after = retry_after
