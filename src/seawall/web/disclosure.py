"""What of an error may leave: to the caller, and to the log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from seawall.core import SeawallError
from seawall.core.secrets import names_secret

_HIDDEN = "[hidden]"
_DEEPEST = 6
_MOST = 100
_LINKS = 50


def message_for_callers(error: SeawallError) -> str | None:
    """What may be shown of any of our errors: its `user_message`, or its message if that is `public`; else nothing."""
    try:
        told = getattr(error, "user_message", None)
        if isinstance(told, str):
            return told
        return str(error) if error.public else None
    except Exception:  # noqa: BLE001 - an error that can't say what it is must not cost the answer
        return None


def members_of(error: SeawallError) -> dict[str, Any]:
    """What an error made for callers has besides its message, such as `field`, `resource` and `resource_id`."""
    try:
        found = getattr(error, "members", None)
        return dict(found) if isinstance(found, Mapping) else {}
    except Exception:  # noqa: BLE001 - as above
        return {}


def headers_of(error: SeawallError) -> dict[str, str]:
    """The headers of the response: those the error brings, and when to come back where it has a `retry_after`."""
    try:
        found = getattr(error, "headers", None)
        headers = dict(found) if isinstance(found, Mapping) else {}
        seconds = getattr(error, "retry_after", None)
        if isinstance(seconds, (int, float)) and math.isfinite(seconds):
            headers.setdefault("Retry-After", str(max(1, math.ceil(seconds))))
    except Exception:  # noqa: BLE001 - as above
        return {}
    return headers


def described(error: BaseException) -> str:
    """The error's type and message, for those who run the service; whatever its `__str__` does."""
    try:
        text = str(error)
    except Exception as why:  # noqa: BLE001 - a message that can't be had is no reason to lose the error
        text = f"<its message raised {type(why).__name__}>"
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def context_of(error: BaseException) -> dict[str, Any]:
    """The error's context, without what its names say is secret."""
    context = _attribute(error, "context")
    return without_secrets(context) if isinstance(context, Mapping) else {}


def without_secrets(value: Any, _depth: int = 0) -> Any:
    """A copy of `value` in which whatever is called password, token, api_key or the like is withheld."""
    if _depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {
            name: _HIDDEN if names_secret(str(name)) else without_secrets(item, _depth + 1)
            for name, item in list(value.items())[:_MOST]
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [without_secrets(item, _depth + 1) for item in list(value)[:_MOST]]
    return value


class WithheldError(Exception):
    """Stands in the log for an error whose message quotes values: says its type, and which fields it is about."""


def loggable(error: BaseException) -> BaseException:
    """What the log may have of `error`: itself with its traceback and causes, without values where they are known.

    SQLAlchemy's errors are told to hide their parameters. Pydantic's and FastAPI's, which quote what they validated,
    are replaced, among the causes as well.
    """
    top = _without_values(error)
    seen: set[int] = set()
    waiting = [top]
    while waiting and len(seen) < _LINKS:
        link = waiting.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        if isinstance(link, BaseExceptionGroup):
            waiting += link.exceptions
        if link.__cause__ is not None:
            link.__cause__ = _without_values(link.__cause__)
            waiting.append(link.__cause__)
        if link.__context__ is not None:
            link.__context__ = _without_values(link.__context__)
            waiting.append(link.__context__)
    return top


def _without_values(error: BaseException) -> BaseException:
    if isinstance(error, BaseExceptionGroup):
        members = [_without_values(member) for member in error.exceptions]
        same = all(one is other for one, other in zip(members, error.exceptions, strict=True))
        return error if same else _in_place_of(error, error.derive(members))
    if _attribute(error, "hide_parameters") is False:
        vars(error)["hide_parameters"] = True  # SQLAlchemy's StatementError
    errors = _attribute(error, "errors")
    if isinstance(error, SeawallError) or not callable(errors):
        return error
    try:
        found = [f"{'.'.join(map(str, one['loc']))} ({one['type']})" for one in cast("Any", errors())[:_MOST]]
    except Exception:  # noqa: BLE001 - then it is no validation's error
        return error
    text = f"{type(error).__module__}.{type(error).__name__}: {', '.join(found)}"
    return _in_place_of(error, WithheldError(text))


def _in_place_of(error: BaseException, other: BaseException) -> BaseException:
    other.__cause__, other.__context__ = error.__cause__, error.__context__
    other.__suppress_context__ = error.__suppress_context__
    return other.with_traceback(error.__traceback__)


def _attribute(error: BaseException, name: str) -> Any:
    try:
        return getattr(error, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody's error
        return None
