"""The cache's codec: MessagePack, typed, by msgspec.

A value is encoded at once when `exact.checker` proves that it is what its type says. Else, and for what MessagePack
can't say as it is (zones, models, whole numbers beyond 64 bits), the slow way: turned into plain values first,
encoded, decoded again, and compared. What comes back otherwise than it went in raises, and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from typing import Any

from seawall.cache import models
from seawall.cache.errors import DecodeError, UnserializableError
from seawall.cache.exact import FIELDS_SET, checker, difference, natural
from seawall.cache.shapes import Shape, fingerprint, name_of, shape_of, walk
from seawall.core import MissingExtraError

try:
    import msgspec
except ImportError:
    raise MissingExtraError("the cache's codec", "msgspec", "cache") from None

_INDIRECT = b"\xc1"
"""Begins a payload of plain values that are converted to the type in a second step: a byte MessagePack never uses."""
_BIG = 1
"""The extension type of a whole number beyond 64 bits."""
_KEPT = (bytes, bytearray)
_TIMES = (datetime, time)
_FORMAT = "1"
"""A part of every fingerprint: another one makes all entries of earlier releases misses."""


class MsgspecCodec:
    """MessagePack for declared types: structs, dataclasses, attrs, pydantic models, and every container of them.

    What comes back equals what was stored, in its very class, or `encode` raises. `of(Any)` takes None, bool, int,
    float, str, bytes, list and dict, of any depth; everything else needs its type.

    - A whole number where a float is declared comes back as the equal float, or is refused where there is none.
    - An aware datetime keeps its offset, not the name of its zone.
    - A pydantic model is validated again by field name when read; aliases, computed fields and serializers have no
      part in it, a `SecretStr` is stored with its value (put `Encrypt` around it). Private attributes are not
      stored: a model whose private attributes are not what a new one has is refused. Which fields were given is
      kept, except where a default is another one each time or tells the models of a union apart.
    - `fold` is not kept: the offset says what it would.
    """

    def __init__(self) -> None:
        self._codecs: dict[Any, _Typed] = {}
        self._known: dict[bytes, _Typed] = {}

    def of(self, type_: Any) -> _Typed:
        """The codec of `type_`, made once. Raises `UnserializableError` that names the field it can't store."""
        try:
            return self._codecs[type_]
        except KeyError:
            codec = self._codecs[type_] = _typed(type_)
        except TypeError:  # a type that has no hash, such as Annotated[int, []]
            codec = _typed(type_)
        return self._known.setdefault(codec.fingerprint, codec)

    def known(self, fingerprint: bytes) -> _Typed | None:
        """The codec of the type with this fingerprint, if this process has asked for it."""
        return self._known.get(fingerprint)

    def for_value(self, value: Any) -> _Typed:
        """The codec of `value`'s class, or the natural one.

        Raises `UnserializableError` for a container of anything else than plain values: its class alone does not
        tell what is to come back.
        """
        kind = type(value)
        if kind is list or kind is dict or kind is tuple or kind is set or kind is frozenset:
            if not natural(value):
                raise UnserializableError(
                    name_of(kind), f"a {kind.__name__} does not tell what is in it; pass type={_guess(value)}"
                )
            return self.of(Any)
        return self.of(Any if kind in {str, int, float, bool, bytes, type(None)} else kind)


class _Typed:
    """MessagePack of one type."""

    __slots__ = ("_check", "_check_zoned", "_decoder", "_has_models", "_validate", "fingerprint", "type_", "type_name")

    def __init__(self, type_: Any, type_name: str, shape: Shape, validate: Callable[[Any], Any] | None) -> None:
        self.type_ = type_
        self.type_name = type_name
        self.fingerprint = fingerprint(shape, _FORMAT)
        self._check = checker(shape)
        self._check_zoned = checker(shape, zoned=True) if any(each.cls in _TIMES for each in walk(shape)) else _never
        self._has_models = any(each.kind == "model" for each in walk(shape))
        self._validate = validate
        decoded = Any if validate else type_
        self._decoder = msgspec.msgpack.Decoder(decoded, dec_hook=models.restore, ext_hook=_extension)

    def encode(self, value: Any) -> bytes:
        """`value` as bytes. Raises `UnserializableError` that says what would not come back as it is."""
        try:
            if self._check(value):
                return _ENCODER.encode(value)
            if self._check_zoned(value):
                return _ENCODER.encode(msgspec.to_builtins(value, builtin_types=_KEPT, enc_hook=models.dump_given))
        except Exception:  # noqa: BLE001, S110 - a property, an `__eq__` or a big number: the slow way tells
            pass
        try:
            return self._proven(value)
        except UnserializableError:
            raise
        except DecodeError as error:
            reason = error.reason
        except msgspec.MsgspecError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - code of the value's class ran
            reason = f"encoding failed with {type(error).__name__}"
            if isinstance(error, (TypeError, OverflowError)) and type(error).__module__ == "builtins":
                reason = str(error)
        raise UnserializableError(self.type_name, reason) from None

    def decode(self, data: bytes) -> Any:
        """The value that was encoded. Raises `DecodeError`, and nothing else, for any other bytes."""
        try:
            if data[:1] == _INDIRECT:
                found = _PLAIN.decode(data[1:])
                if self._validate is None:
                    return msgspec.convert(found, self.type_, builtin_types=_KEPT, dec_hook=models.restore)
            else:
                found = self._decoder.decode(data)
            return found if self._validate is None else self._validate(found)
        except msgspec.MsgspecError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - corrupt bytes may meet code of the value's class
            reason = f"decoding failed with {type(error).__name__}"
        raise DecodeError(self.type_name, reason) from None

    def _proven(self, value: Any) -> bytes:
        """Encode, decode and compare: with a model's given fields alone, or with more of them where it takes that."""
        found = None
        for dump, ignored in _DUMPS if self._has_models else _DUMPS[:1]:
            plain = msgspec.to_builtins(value, builtin_types=_KEPT, enc_hook=dump)
            try:
                data = _ENCODER.encode(plain)
            except OverflowError:
                data = _INDIRECT + _ENCODER.encode(_with_big_numbers(plain))
            try:
                found = difference(value, self.decode(data), ignored=ignored)
            except DecodeError as error:
                found = error.reason
            if found is None:
                return data
        if self.type_ is Any:
            found = f"{found}; pass type={_guess(value)}"
        raise UnserializableError(self.type_name, found or "")


def _typed(type_: Any) -> _Typed:
    type_name = name_of(type_)
    try:
        shape = shape_of(type_)
        _refuse_unsupported(type_name, shape)
        try:
            return _Typed(type_, type_name, shape, None)
        except TypeError:
            # msgspec can't tell two models of a union apart; pydantic can.
            if not any(each.kind == "model" for each in walk(shape)):
                raise
            from seawall.cache.pydantic import validator  # noqa: PLC0415 - only where pydantic is in use

            return _Typed(type_, type_name, shape, validator(type_))
    except UnserializableError:
        raise
    except Exception as error:  # noqa: BLE001 - resolving annotations runs code of the type's module
        raise UnserializableError(type_name, str(error)) from None


def _refuse_unsupported(type_name: str, shape: Shape) -> None:
    for path, found in models.unsupported(shape):
        raise UnserializableError(type_name, f"{path or 'it'} is a {found}, for which there is no encoding")


def _never(_: Any) -> bool:
    return False


def _extension(code: int, data: memoryview) -> int:
    if code != _BIG:
        message = f"unknown extension type {code}"
        raise ValueError(message)
    return int.from_bytes(data, "big", signed=True)


def _with_big_numbers(value: Any) -> Any:
    kind = type(value)
    if kind is int and not -(2**63) <= value < 2**64:
        return msgspec.msgpack.Ext(_BIG, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if kind is dict:
        return {_with_big_numbers(key): _with_big_numbers(each) for key, each in value.items()}
    if kind in {list, tuple, set, frozenset}:
        return [_with_big_numbers(each) for each in value]
    return value


def _guess(value: Any) -> str:
    """How the type of a container could be declared, for a message."""
    kind = type(value)
    if kind is dict:
        return f"dict[{_guess_all(value)}, {_guess_all(value.values())}]"
    if kind is tuple:
        return f"tuple[{_guess_all(value)}, ...]"
    if kind in {list, set, frozenset}:
        return f"{kind.__name__}[{_guess_all(value)}]"
    return name_of(kind)


def _guess_all(values: Any) -> str:
    return " | ".join(sorted({_guess(value) for value in values})) or "Any"


_DUMPS = (
    (models.dump_given, frozenset[str]()),
    (models.dump_made, frozenset({FIELDS_SET})),
    (models.dump_all, frozenset({FIELDS_SET})),
)
_ENCODER = msgspec.msgpack.Encoder(enc_hook=models.dump_given)
_PLAIN = msgspec.msgpack.Decoder(ext_hook=_extension)
