"""Values that msgspec doesn't know: how they become plain ones and are made again. Known by their attributes alone."""

from __future__ import annotations

import ipaddress
import pathlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from seawall.cache.shapes import Shape

_AS_TEXT = (
    pathlib.PurePath,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)


def dump_given(value: Any) -> Any:
    """A model by the fields that were given, so that it knows again which those are; a secret or a path by its text."""
    cls: Any = type(value)
    count = _field_count(cls)
    # Nearly always every field was given, and there is nothing else in it.
    if count and len(value.__dict__) == len(value.__pydantic_fields_set__) == count and not value.__pydantic_extra__:
        return value.__dict__
    return _dump(value, given=True)


def dump_made(value: Any) -> Any:
    """As `dump_given`, with the fields whose default was made by a factory: `uuid4` makes another one each time."""
    return _dump(value, given=False)


def dump_all(value: Any) -> Any:
    """As `dump_given`, with every field: the default of a literal may be what tells the models of a union apart."""
    return _dump(value, given=None)


def restore(type_: Any, plain: Any) -> Any:
    """Make a `type_` of what `dump_given` or `dump_made` gave. Raises `ValueError` without any of the content."""
    if _is_model(type_):
        try:
            return type_.__pydantic_validator__.validate_python(plain, strict=False, by_alias=False, by_name=True)
        except ValueError as error:
            message = f"{type_.__name__}: {_summary(error)}"
        raise ValueError(message)
    return plain if type(plain) is type_ else type_(plain)


def unsupported(shape: Shape) -> Iterator[tuple[str, str]]:
    """Where in `shape` stands a class that can't be stored, with its name. What is in a model, pydantic answers for."""
    seen: set[int] = set()

    def search(shape: Shape, path: str) -> Iterator[tuple[str, str]]:
        if id(shape) in seen or shape.kind == "model":
            return
        seen.add(id(shape))
        if shape.kind == "opaque" and not _supported(shape.cls):
            yield path, getattr(shape.cls, "__name__", shape.extra)
        for element in shape.elements:
            yield from search(element, path and f"{path}[]")
        for part in shape.parts:
            yield from search(part.shape, f"{shape.cls.__name__}.{part.name}")

    return search(shape, "")


def _supported(cls: Any) -> bool:
    if cls is None or cls is bytearray or cls.__name__ == "UnsetType":
        return True
    return issubclass(cls, _AS_TEXT) or _is_text_of_pydantic(cls)


def _is_model(cls: Any) -> bool:
    return hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_fields")


def _is_text_of_pydantic(cls: Any) -> bool:
    """Whether it is a secret or a URL."""
    return hasattr(cls, "get_secret_value") or hasattr(cls, "unicode_string")


@lru_cache(4096)
def _field_count(cls: Any) -> int:
    return len(cls.__pydantic_fields__) if _is_model(cls) and not cls.__pydantic_root_model__ else 0


def _dump(value: Any, *, given: bool | None) -> Any:
    cls = type(value)
    if _is_model(cls):
        if cls.__pydantic_root_model__:
            return value.root
        names, fields, extra = value.__pydantic_fields_set__, value.__dict__, value.__pydantic_extra__
        stored = {
            name: fields[name]
            for name, field in cls.__pydantic_fields__.items()
            if given is None or name in names or not (given or field.default_factory is None)
        }
        return stored | (extra or {})
    if hasattr(cls, "get_secret_value"):
        return value.get_secret_value()
    if isinstance(value, _AS_TEXT) or hasattr(cls, "unicode_string"):
        return str(value)
    message = f"it contains a {cls.__qualname__}, for which there is no encoding"
    raise TypeError(message)


def _summary(error: Any) -> str:
    """Which fields pydantic refused and why, without what was in them."""
    try:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, each['loc']))} {each['type']}" for each in found[:3])
    except AttributeError:
        return type(error).__name__
