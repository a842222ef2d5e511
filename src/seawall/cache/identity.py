"""The text that stands for an argument in a key: equal arguments have equal texts, in every process.

A text holds none of `: { }`, whitespace and control characters, which are left for the key around it. What the
kinds of values write bare (`( ) [ ] < > , =` and the percent sign) is escaped in strings, so no string can pass for
a tuple, for None or for bytes. A string of digits does pass for the number: `"7"` and `7` have the text `7`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

Writer: TypeAlias = Callable[[Any], str]

_RESERVED = re.compile(r"[%:{}()\[\]<>,=\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DIGITS = 3000
_MICROSECOND = timedelta(microseconds=1)
_START = datetime(1, 1, 1)  # noqa: DTZ001 - the origin of a count, in no zone


class NoIdentityError(TypeError):
    """A value has no text. The template that met it says so to the user, as an `UnstableKeyError`."""

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name

    def __str__(self) -> str:
        return f"a {self.type_name} has no stable identity; give it a method __cache_key__()"


def text(value: Any) -> str:
    """The text of `value`: a string as it is; anything else so that equal values have equal texts.

    Takes None, numbers, bytes, UUID, dates and times (in UTC where they have a zone), enums (by value), tuples, lists,
    sets and dicts of these, frozen dataclasses, structs and attrs classes, pydantic models (by their fields), and
    whatever has a method `__cache_key__()` that returns one of these. Raises `NoIdentityError`, a `TypeError`, for the
    rest: a session, a request, a function, anything that is itself only in this process.
    """
    return str.__str__(value) if isinstance(value, str) else encoded(value)


def encoded(value: Any) -> str:
    """As `text`, with a string's reserved characters escaped: what is put into a key."""
    kind: Any = type(value)
    if kind is str:
        return escaped(value)
    if kind is int:
        return _whole(value)
    return _writer(kind)(value)


def escaped(string: str) -> str:
    """`string` with its reserved characters as the percent-encoded bytes of their UTF-8."""
    return _RESERVED.sub(percent, string)


def percent(found: re.Match[str]) -> str:
    """The matched characters, percent-encoded."""
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _whole(value: int) -> str:
    # Python refuses to write more than 4300 digits.
    if value.bit_length() > _DIGITS * 3:
        message = "int of more than 2700 digits"
        raise NoIdentityError(message)
    return int.__repr__(value)


def _float(value: float) -> str:
    return _whole(int(value)) if value.is_integer() else float.__repr__(value)


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        return float.__repr__(float(value)) if not value.is_snan() else "snan"
    if value and value.adjusted() > _DIGITS:
        message = "Decimal of more than 3000 digits"
        raise NoIdentityError(message)
    if value == value.to_integral_value():
        return _whole(int(value))
    binary = float(value)
    if binary == value:
        return float.__repr__(binary)
    sign, digits, exponent = value.as_tuple()
    figures = "".join(map(str, digits)).rstrip("0")
    assert isinstance(exponent, int)  # noqa: S101 - it is finite
    # Marked, for 0.1 as a Decimal is not 0.1 as a float, which is written plainly.
    return f"{'-' * sign}{figures}e{exponent + len(digits) - len(figures)}d"


def _datetime(value: datetime) -> str:
    offset = value.utcoffset()
    naive = value.replace(tzinfo=None, fold=0)
    if offset is not None:
        try:
            naive -= offset
        except OverflowError:  # within a day of the first or the last year
            return f"{(naive - _START - offset) // _MICROSECOND}usZ"
    zone = "" if offset is None else "Z"
    return f"{naive.isoformat().replace(':', '')}{zone}"


def _time(value: time) -> str:
    offset = value.utcoffset()
    if offset is None:
        return f"T{value.replace(tzinfo=None, fold=0).isoformat('microseconds').replace(':', '')}"
    since = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    return f"T{(since - offset) // _MICROSECOND}usZ"


def _all(values: Iterable[Any]) -> str:
    """The texts, each ended by a comma: joined ones would not tell `("",)` from `("", "")`."""
    return "".join([f"{encoded(value)}," for value in values])


def _set(value: Iterable[Any]) -> str:
    return f"<{''.join([f'{each},' for each in sorted(map(encoded, value))])}>"


def _dict(value: dict[Any, Any]) -> str:
    pairs = sorted(f"{encoded(key)}={encoded(each)}," for key, each in value.items())
    return f"({''.join(pairs)}=)"


def _hook(value: Any) -> str:
    found = value.__cache_key__()
    if found is value:
        raise NoIdentityError(type(value).__qualname__)
    return encoded(found)


_WRITERS: tuple[tuple[type | tuple[type, ...], Writer], ...] = (
    (Enum, lambda value: encoded(value.value)),
    (str, lambda value: escaped(str.__str__(value))),
    (int, lambda value: _whole(int(value))),
    (float, _float),
    (Decimal, _decimal),
    (bytes, lambda value: f"%x{value.hex()}"),
    (UUID, str),
    (datetime, _datetime),
    (date, date.isoformat),
    (time, _time),
    (timedelta, lambda value: f"{value // _MICROSECOND}us"),
    (tuple, lambda value: f"({_all(value)})"),
    (list, lambda value: f"[{_all(value)}]"),
    ((set, frozenset), _set),
    (dict, _dict),
)


@lru_cache(4096)
def _writer(kind: Any) -> Writer:
    """How values of the class `kind` are written. Raises `NoIdentityError` for a class without identity."""
    if kind is type(None):
        return lambda _: "%None"
    if hasattr(kind, "__cache_key__"):
        return _hook
    for types, writer in _WRITERS:
        if issubclass(kind, types):
            return writer
    names = _field_names(kind)
    if names is None or hasattr(kind, "_sa_instance_state"):  # rows of SQLAlchemy change with their session
        raise NoIdentityError(kind.__qualname__)
    label = escaped(kind.__qualname__)
    if not hasattr(kind, "__pydantic_extra__"):
        return lambda value: f"{label}({_all(getattr(value, name) for name in names)})"
    return lambda value: (
        f"{label}({_all(getattr(value, name) for name in names)}){_dict(value.__pydantic_extra__ or {})}"
    )


def _field_names(kind: Any) -> list[str] | None:
    """The fields that make two instances of `kind` equal, or None if it is no class that is told by its fields."""
    config = getattr(kind, "__struct_config__", None)
    if config is not None:
        return list(kind.__struct_fields__) if config.frozen and config.eq else None
    if hasattr(kind, "__pydantic_fields__") and hasattr(kind, "model_fields"):
        return list(kind.__pydantic_fields__)
    if hasattr(kind, "__attrs_attrs__"):
        frozen = kind.__setattr__.__name__ == "_frozen_setattrs"
        return [each.name for each in kind.__attrs_attrs__ if each.eq] if frozen else None
    if dataclasses.is_dataclass(kind):
        parameters = getattr(kind, "__dataclass_params__")  # noqa: B009 - the stubs don't know it
        frozen = parameters.frozen and parameters.eq
        return [each.name for each in dataclasses.fields(kind) if each.compare] if frozen else None
    return None
