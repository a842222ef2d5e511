"""Validation of options when they are made: an impossible value is refused with what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from seawall.core.errors import OptionError


def number(
    owner: str,
    option: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    integer: bool = False,
) -> None:
    """Refuse `value` unless it is a finite number (a whole one if `integer`) within the bounds.

    Raises `OptionError` with the owner, the option's name, the value and the allowed range.
    """
    bounds = [
        f"{words} {bound:g}"
        for words, bound in (("above", above), ("at least", at_least), ("at most", at_most))
        if bound is not None
    ]
    allowed = " and ".join([f"a {'whole ' if integer else ''}number", *bounds]).replace(" and ", " ", 1)
    if (
        isinstance(value, bool)
        or not isinstance(value, int if integer else (int, float))
        or not _finite(value)
        or (above is not None and value <= above)
        or (at_least is not None and value < at_least)
        or (at_most is not None and value > at_most)
    ):
        raise OptionError(owner, option, value, allowed)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def one_of(owner: str, option: str, value: Any, choices: Iterable[Any]) -> None:
    """Refuse `value` unless it is among `choices`."""
    allowed = tuple(choices)
    if value not in allowed:
        raise OptionError(owner, option, value, ", ".join(map(repr, allowed)))


def callable_or_none(owner: str, option: str, value: Any) -> None:
    """Refuse `value` unless it is callable or None."""
    if value is not None and not callable(value):
        raise OptionError(owner, option, value, "a callable or None")
