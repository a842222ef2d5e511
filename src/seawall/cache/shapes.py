"""What a declared type is made of: fields, elements, alternatives. Read once per type, by name and never by address.

A `Shape` is what the codec's check (`exact.py`) and the fingerprint are derived from. Structs of msgspec, attrs
classes and pydantic models are known by their attributes, so no package is imported for it.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import types
import typing
from collections import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

Kind = Literal[
    "any", "scalar", "enum", "literal", "list", "set", "frozenset", "tuple", "fixed_tuple", "dict", "union",
    "object", "typed_dict", "named_tuple", "model", "opaque",
]  # fmt: skip

SCALARS: frozenset[type] = frozenset(
    {type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID}
)
_CONTAINERS: dict[Any, Kind] = {
    list: "list",
    abc.Sequence: "list",
    abc.MutableSequence: "list",
    abc.Collection: "list",
    set: "set",
    abc.Set: "set",
    abc.MutableSet: "set",
    frozenset: "frozenset",
    dict: "dict",
    abc.Mapping: "dict",
    abc.MutableMapping: "dict",
}
_ANNOTATIONS = (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)


@dataclass(frozen=True, slots=True)
class Part:
    """A field of an object: its name here, its name when stored, and a word on its default for the fingerprint."""

    name: str
    stored: str
    shape: Shape
    required: bool
    default: str = ""
    value: Any = None
    """The default itself, for a model."""


@dataclass(slots=True, eq=False)
class Shape:
    """A type: its kind, the class that values have, its elements or alternatives, its fields."""

    kind: Kind
    cls: Any = None
    elements: tuple[Shape, ...] = ()
    parts: tuple[Part, ...] = ()
    extra: str = field(default="")
    """What else decides how it is stored, such as a tag or the members of an enum."""
    plain: bool = True
    """Whether decoding makes it from its fields alone, without code of the class that could change them."""


def shape_of(type_: Any) -> Shape:
    """The shape of `type_`. Raises `TypeError` or `NameError` for a type given as text that can't be resolved."""
    return _Reader().read(type_, {})


def walk(shape: Shape) -> Iterator[Shape]:
    """`shape` and every shape in it, each once."""
    seen: set[int] = set()
    waiting = [shape]
    while waiting:
        current = waiting.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [*current.elements, *(part.shape for part in current.parts)]


def fingerprint(shape: Shape, form: str) -> bytes:
    """Eight bytes that differ when the structure does: a name, a field, its type, its default, an enum's members.

    The same in every process and run. Not part of it: where a docstring, a method or a validator changes.
    """
    return hashlib.sha256((form + _described(shape, {})).encode("utf-8", "surrogatepass")).digest()[:8]


def name_of(type_: Any) -> str:
    """How `type_` is written in messages: `list[Podcast]`, `Podcast`."""
    arguments = get_args(type_)
    origin = get_origin(type_)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(name_of, arguments))
    if type_ is type(None):
        return "None"
    plain = getattr(origin or type_, "__name__", None) or str(type_)
    if not arguments or origin in (typing.Annotated, Literal):
        return plain
    return f"{plain}[{', '.join('...' if argument is ... else name_of(argument) for argument in arguments)}]"


def path_of(cls: Any) -> str:
    """The module-qualified name of a class."""
    return f"{getattr(cls, '__module__', '')}.{getattr(cls, '__qualname__', None) or cls}"


def _described(shape: Shape, numbers: dict[int, int]) -> str:
    known = numbers.get(id(shape))
    if known is not None:
        return f"#{known}"
    if shape.parts:
        numbers[id(shape)] = len(numbers)
    cls = "" if shape.cls is None else path_of(shape.cls)
    elements = ",".join(_described(element, numbers) for element in shape.elements)
    parts = ",".join(
        f"{part.name!r}/{part.stored!r}/{part.required:d}/{part.default}:{_described(part.shape, numbers)}"
        for part in shape.parts
    )
    return f"{shape.kind}({cls}|{shape.extra}|{elements}|{parts})"


def _default(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    return repr(value) if type(value) in SCALARS else type(value).__name__


class _Reader:
    """Reads types into shapes; a class met again, as in a recursive type, is the same shape."""

    def __init__(self) -> None:
        self._known: dict[Any, Shape] = {}

    def read(self, hint: Any, bound: Mapping[Any, Any]) -> Shape:  # noqa: PLR0911 - one a kind of annotation
        if isinstance(hint, (str, typing.ForwardRef)):
            message = f"{hint!r} is the name of a type, not a type; pass the class itself"
            raise TypeError(message)
        if isinstance(hint, typing.TypeVar):
            return self.read(bound[hint], {}) if hint in bound else Shape("opaque", extra=str(hint))
        if hint is Any:
            return Shape("any")
        hint = type(None) if hint is None else hint
        supertype = getattr(hint, "__supertype__", None)  # NewType
        if supertype is not None:
            return self.read(supertype, bound)
        origin, arguments = get_origin(hint), get_args(hint)
        alias = origin if hasattr(origin, "__value__") else hint if hasattr(hint, "__value__") else None
        if alias is not None and not isinstance(hint, type):  # the statement `type X = ...`, or TypeAliasType
            if hint in self._known:
                return self._known[hint]
            self._known[hint] = shape = Shape("union", extra="alias")
            shape.elements = (self.read(alias.__value__, dict(zip(alias.__type_params__, arguments, strict=False))),)
            return shape
        if origin is typing.Annotated:
            shape = self.read(arguments[0], bound)
            return shape if _harmless(hint.__metadata__) else Shape("union", elements=(shape,), plain=False)
        if origin in _ANNOTATIONS:
            return self.read(arguments[0], bound)
        if origin in (typing.Union, types.UnionType):
            return Shape("union", elements=tuple(self.read(argument, bound) for argument in arguments))
        if origin is Literal:
            members = sorted((type(value).__name__, _default(value)) for value in arguments)
            return Shape("literal", arguments, extra=repr(members))
        return self._container(origin or hint, arguments, bound) or self._class(origin or hint, arguments, bound)

    def _container(self, origin: Any, arguments: tuple[Any, ...], bound: Mapping[Any, Any]) -> Shape | None:
        if origin in SCALARS:
            return Shape("scalar", origin)
        if origin is tuple:
            if not arguments or arguments[-1] is ...:
                return Shape("tuple", tuple, (self.read(arguments[0] if arguments else Any, bound),))
            fixed = () if arguments == ((),) else arguments
            return Shape("fixed_tuple", tuple, tuple(self.read(argument, bound) for argument in fixed))
        kind = _CONTAINERS.get(origin)
        if kind is None:
            return None
        given = arguments or ((Any, Any) if kind == "dict" else (Any,))
        kinds: dict[Kind, type] = {"list": list, "set": set, "frozenset": frozenset, "dict": dict}
        return Shape(kind, kinds[kind], tuple(self.read(argument, bound) for argument in given))

    def _class(self, cls: Any, arguments: tuple[Any, ...], bound: Mapping[Any, Any]) -> Shape:
        if not isinstance(cls, type):
            return Shape("opaque", extra=str(cls))
        if issubclass(cls, enum.Enum):
            members = [(name, _default(member.value)) for name, member in cls.__members__.items()]
            return Shape("enum", cls, extra=repr(members), plain=not issubclass(cls, enum.Flag))
        arguments = tuple(
            argument if isinstance(argument, list) else bound.get(argument, argument) for argument in arguments
        )
        known = (cls, repr(arguments)) if any(isinstance(each, list) for each in arguments) else (cls, arguments)
        if known in self._known:
            return self._known[known]
        self._known[known] = shape = Shape("opaque", cls)
        inner = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
        reader = next((reader for test, reader in _READERS if test(cls)), None)
        if reader is not None:
            reader(shape, cls, lambda hint: self.read(hint, inner))
        elif arguments:
            shape.elements = tuple(
                self.read(argument, bound) for argument in arguments if not isinstance(argument, list)
            )
        return shape


_Read = abc.Callable[[Any], Shape]


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _struct(shape: Shape, cls: Any, read: _Read) -> None:
    hints, config = _hints(cls), cls.__struct_config__
    defaults = cls.__struct_defaults__
    names, stored = cls.__struct_fields__, cls.__struct_encode_fields__
    first = len(names) - len(defaults)
    shape.kind, shape.extra = "object", f"{config.tag_field!r}/{config.tag!r}/{config.array_like}"
    shape.plain = not hasattr(cls, "__post_init__") and not config.omit_defaults
    shape.parts = tuple(
        # Its own sentinel stands for "no default" behind keyword-only fields.
        Part(name, key, read(hints[name]), index < first, "" if index < first else _default(defaults[index - first]))
        for index, (name, key) in enumerate(zip(names, stored, strict=True))
    )


def _dataclass(shape: Shape, cls: Any, read: _Read) -> None:
    hints, fields = _hints(cls), dataclasses.fields(cls)
    shape.kind = "object"
    shape.plain = not hasattr(cls, "__post_init__") and all(each.init for each in fields)
    shape.parts = tuple(
        Part(
            each.name,
            each.name,
            read(hints[each.name]),
            required=each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING,
            default="" if each.default is dataclasses.MISSING else _default(each.default),
        )
        for each in fields
    )


def _attrs(shape: Shape, cls: Any, read: _Read) -> None:
    hints = _hints(cls)
    shape.kind = "object"
    shape.plain = not any(hasattr(cls, name) for name in ("__attrs_post_init__", "__attrs_pre_init__"))
    shape.parts = tuple(
        Part(each.name, each.name, read(hints.get(each.name, Any)), required=False, default=_default(each.default))
        for each in cls.__attrs_attrs__
    )
    shape.plain = shape.plain and all(each.init for each in cls.__attrs_attrs__)


def _model(shape: Shape, cls: Any, read: _Read) -> None:
    if not getattr(cls, "__pydantic_complete__", True):
        cls.model_rebuild()  # raises NameError's relative for a forward reference that can't be resolved
    shape.kind = "model"
    shape.extra = "root" if cls.__pydantic_root_model__ else str(cls.model_config.get("extra"))
    fields = cls.__pydantic_fields__
    shape.parts = tuple(
        Part(
            name,
            name,
            read(field.annotation),
            field.is_required(),
            "" if field.is_required() else _default(field.default),
            field.default,
        )
        for name, field in fields.items()
    )
    decorators, config = cls.__pydantic_decorators__, cls.model_config
    own_code = (
        decorators.validators,
        decorators.field_validators,
        decorators.root_validators,
        decorators.model_validators,
        cls.__private_attributes__,
        cls.__pydantic_custom_init__,
        cls.__pydantic_post_init__,
        cls.__pydantic_root_model__,
        cls.__get_pydantic_core_schema__.__func__.__module__ != "pydantic.main",
        not all(_harmless(field.metadata) and not field.validate_default for field in fields.values()),
        any(config.get(name) for name in _CHANGING),
    )
    shape.plain = not any(own_code) and all(_repeatable(part.shape) for part in shape.parts)


_CHANGING = (
    "str_strip_whitespace",
    "str_to_lower",
    "str_to_upper",
    "validate_default",
    "use_enum_values",
    "defer_build",
)
"""The settings of a model under which it may make other values of what it is given."""


def _harmless(metadata: abc.Iterable[Any]) -> bool:
    """Whether annotations beside a type, such as limits and descriptions, leave a value as it is."""
    return all(
        isinstance(each, str) or type(each).__module__ in {"annotated_types", "msgspec", "msgspec._core"}
        for each in metadata
    )


def _repeatable(shape: Shape) -> bool:
    """Whether pydantic is known to make the same value again of its plain form, for a field of a model."""
    if shape.kind == "union":
        others = [element for element in shape.elements if element.cls is not type(None)]
        return shape.plain and len(others) == 1 and shape.extra != "alias" and _repeatable(others[0])
    if shape.kind == "scalar":
        return shape.cls is not timedelta
    if shape.kind == "model":
        return True  # it says itself whether it is plain
    if shape.kind in {"list", "set", "frozenset", "tuple", "fixed_tuple", "dict"}:
        return all(map(_repeatable, shape.elements))
    return shape.kind in {"any", "enum"} and shape.plain


def _typed_dict(shape: Shape, cls: Any, read: _Read) -> None:
    shape.kind = "typed_dict"
    shape.parts = tuple(
        Part(name, name, read(hint), name in cls.__required_keys__) for name, hint in sorted(_hints(cls).items())
    )


def _named_tuple(shape: Shape, cls: Any, read: _Read) -> None:
    hints = _hints(cls)
    shape.kind = "named_tuple"
    shape.parts = tuple(
        Part(name, name, read(hints.get(name, Any)), name not in cls._field_defaults) for name in cls._fields
    )


_READERS: tuple[tuple[abc.Callable[[Any], bool], abc.Callable[[Shape, Any, _Read], None]], ...] = (
    (lambda cls: hasattr(cls, "__struct_config__"), _struct),
    (lambda cls: hasattr(cls, "__pydantic_fields__") and hasattr(cls, "model_fields"), _model),
    (lambda cls: hasattr(cls, "__attrs_attrs__"), _attrs),
    (dataclasses.is_dataclass, _dataclass),
    (typing.is_typeddict, _typed_dict),
    (lambda cls: issubclass(cls, tuple) and hasattr(cls, "_fields"), _named_tuple),
)
