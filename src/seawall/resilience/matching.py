"""Which errors a policy acts on: exception types, or a function that judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from seawall.core.errors import OptionError

ErrorMatch: TypeAlias = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]


def matcher(owner: str, option: str, match: ErrorMatch) -> Callable[[BaseException], bool]:
    """A function that tells whether an error is meant by `match`. Refuses anything else with what is allowed."""
    types = match if isinstance(match, tuple) else (match,)
    if types and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in types):
        return lambda error: isinstance(error, types)  # type: ignore[arg-type]
    if callable(match) and not isinstance(match, type):
        return match
    raise OptionError(owner, option, match, "an exception type, a tuple of them, or a function of the error")


def type_names(match: ErrorMatch) -> str:
    """How `match` is written in a `repr`."""
    if isinstance(match, tuple):
        return f"({', '.join(kind.__name__ for kind in match)})"
    return getattr(match, "__name__", repr(match))
