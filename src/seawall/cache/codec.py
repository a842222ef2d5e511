"""What the cache asks of a codec, the codec that pickles, and which values are safe to share.

The codec there is by default is `seawall.cache.msgspec.MsgspecCodec`.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from seawall.cache.errors import DecodeError, UnserializableError
from seawall.cache.shapes import name_of


class TypedCodec(Protocol):
    """Encodes and decodes the values of one type."""

    @property
    def type_name(self) -> str:
        """The type as messages name it."""
        ...

    @property
    def fingerprint(self) -> bytes:
        """Eight bytes, the same in every process, others once the type's fields, their names or types change."""
        ...

    def encode(self, value: Any) -> bytes:
        """The value as bytes. Raises `UnserializableError` when it would not come back equal and of the same class."""
        ...

    def decode(self, data: bytes) -> Any:
        """The value again. Raises `DecodeError`, and nothing else, for bytes that are no value of the type."""
        ...


class Codec(Protocol):
    """Makes and remembers a `TypedCodec` for each type."""

    def of(self, type_: Any) -> TypedCodec:
        """The codec of `type_`, made once; of `Any`, the natural one. Raises `UnserializableError`."""
        ...

    def known(self, fingerprint: bytes) -> TypedCodec | None:
        """The codec of the type with this fingerprint, if `of` was asked for that type in this process."""
        ...

    def for_value(self, value: Any) -> TypedCodec:
        """The codec of a value whose type nobody declared. Raises `UnserializableError` where it takes a type."""
        ...


class PickleCodec:
    """Pickles. Warning: **whoever can write to the store can run any code in this process** when it reads.

    For trusted stores alone, best under `Sign` or `Encrypt`, and for values that no typed codec takes. Types are not
    looked at, so the fingerprint is one and the same, and a renamed class is a `DecodeError`, which is a miss.
    """

    type_name = "object"
    fingerprint = b"pickle-1"

    def of(self, type_: Any) -> TypedCodec:
        """This codec: it takes every type."""
        return self

    def known(self, fingerprint: bytes) -> TypedCodec | None:
        """This codec, for its own fingerprint."""
        return self if fingerprint == self.fingerprint else None

    def for_value(self, value: Any) -> TypedCodec:
        """This codec: it takes every value."""
        return self

    def encode(self, value: Any) -> bytes:
        """The pickle of `value`. Raises `UnserializableError` for what can't be pickled."""
        try:
            return pickle.dumps(value, protocol=5)
        except Exception as error:  # noqa: BLE001 - a class decides how it is pickled, and what it raises
            raise UnserializableError(name_of(type(value)), f"pickling failed with {type(error).__name__}") from None

    def decode(self, data: bytes) -> Any:
        """The pickled value. Raises `DecodeError` for anything that can't be unpickled."""
        try:
            return pickle.loads(data)  # noqa: S301 - what this codec is, and warns of
        except Exception as error:  # noqa: BLE001 - corrupt bytes end in any exception there is
            raise DecodeError(self.type_name, f"unpickling failed with {type(error).__name__}") from None


_IMMUTABLE: frozenset[type] = frozenset(
    {type(None), bool, int, float, complex, str, bytes, Decimal, UUID, date, datetime, time, timedelta, type(...)}
)


def immutable(value: Any) -> bool:
    """Whether callers may share `value` because none of them can change it.

    True for scalars, members of enums, tuples and frozensets of immutables, and frozen dataclasses, structs, attrs
    classes and pydantic models whose fields all are. A subclass of a scalar is not known to be. A type that claims
    to be frozen is believed.
    """
    kind: Any = type(value)
    if kind in _IMMUTABLE:
        return True
    if kind is tuple or kind is frozenset:
        return _IMMUTABLE.issuperset(map(type, value)) or all(map(immutable, value))
    frozen = _frozen(kind)
    return frozen is not None and all(map(immutable, frozen(value)))


@lru_cache(4096)
def _frozen(kind: Any) -> Callable[[Any], list[Any]] | None:
    """What lists the contents of an instance of `kind`, or None for a class whose instances can change."""
    if issubclass(kind, Enum):
        return lambda _: []
    if tuple in kind.__mro__ and hasattr(kind, "_fields"):
        return None if kind.__dictoffset__ else list
    config = getattr(kind, "__struct_config__", None)
    if config is not None:
        names = kind.__struct_fields__ if config.frozen else None
    elif hasattr(kind, "__pydantic_fields__") and hasattr(kind, "model_config"):
        private = kind.__private_attributes__  # they stay assignable on a frozen model
        frozen = kind.model_config.get("frozen") and not private
        return (lambda value: [*vars(value).values(), *(value.__pydantic_extra__ or {}).values()]) if frozen else None
    elif hasattr(kind, "__attrs_attrs__"):
        # attrs marks a frozen class by nothing but the method it gives it.
        is_frozen = kind.__setattr__.__name__ == "_frozen_setattrs"
        names = [each.name for each in kind.__attrs_attrs__] if is_frozen else None
    elif dataclasses.is_dataclass(kind):
        parameters = getattr(kind, "__dataclass_params__")  # noqa: B009 - the stubs don't know it
        names = [each.name for each in dataclasses.fields(kind)] if parameters.frozen else None
    else:
        names = None
    if names is None:
        return None
    found = tuple(names)
    return lambda value: [getattr(value, name, None) for name in found]
