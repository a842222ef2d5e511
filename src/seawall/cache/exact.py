"""Whether a value comes back from the codec as it was: proven by a quick check, or by comparing what came back.

`checker(shape)` compiles one function per declared type that looks at the exact class of everything in a value.
True means that the value is what its type says, down to the last field, so the codec is known to return an equal
one. False means no more than "not sure": the codec then decodes what it encoded and asks `difference`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from seawall.cache.shapes import Part, Shape

Check = Callable[[Any], bool]

_COMPARED = frozenset({type(None), bool, int, str, bytes})
"""For which `==` is all that can be told, and says so for most of what is compared."""
_NATURAL = frozenset({type(None), bool, int, float, str, bytes})
"""What needs no declared type: it comes back as it was."""
FIELDS_SET = "__pydantic_fields_set__"
"""Which fields of a model were given, and which have their default: a part of it that `==` does not look at."""


def natural(value: Any) -> bool:
    """Whether `value` is made of None, bool, int, float, str, bytes, list and dict alone, not of subclasses."""
    kind = type(value)
    if kind is list:
        elements: Iterable[Any] = value
    elif kind is dict:
        for key in value:
            if type(key) is not str and type(key) not in _NATURAL:
                return False
        elements = value.values()
    else:
        return kind in _NATURAL
    for element in elements:
        kind = type(element)
        # Texts first, for most values are; a set look-up costs twice as much.
        if kind is not str and kind not in _NATURAL and not ((kind is dict or kind is list) and natural(element)):
            return False
    return True


def checker(shape: Shape, *, zoned: bool = False) -> Check:
    """A compiled function that tells whether a value is exactly of `shape`, as deep as it goes.

    With `zoned` also aware times of any offset in whole minutes, which are the same again when written as text.
    """
    return _Compiler(zoned=zoned).compile(shape)


def _whole_minutes(value: datetime | time) -> bool:
    offset = value.utcoffset()
    return offset is None or not offset % _MINUTE


class _Compiler:
    """Writes lines that look at one class after the other, in place: calls would cost more than what they look at.

    A shape within itself, and one of several alternatives of the same class, has a function of its own.
    """

    def __init__(self, *, zoned: bool) -> None:
        self._zoned = zoned
        self._bound: dict[str, Any] = {"natural": natural, "utc": UTC, "whole_minutes": _whole_minutes}
        self._functions: dict[int, str] = {}
        self._sources: list[str] = []
        self._names = 0

    def compile(self, shape: Shape) -> Check:
        name = self._function(shape)
        exec(compile("\n".join(self._sources), "<seawall exact check>", "exec"), self._bound)  # noqa: S102 - names only
        check: Check = self._bound[name]
        return check

    def _bind(self, thing: Any) -> str:
        name = f"bound_{len(self._bound)}"
        self._bound[name] = thing
        return name

    def _function(self, shape: Shape) -> str:
        known = self._functions.get(id(shape))
        if known is None:
            self._functions[id(shape)] = known = f"check_{len(self._functions)}"
            lines = self._deep(shape, "value", ())
            self._sources.append("\n    ".join([f"def {known}(value):", *lines, "return True"]))
        return known

    def _one(self, shape: Shape, expression: str, around: tuple[int, ...]) -> list[str]:
        """Lines that return False unless `expression` is exactly of `shape`."""
        if _by_class(shape):
            return [f"if type({expression}) is not {self._bind(shape.cls)}: return False"]
        self._names += 1
        name = f"part_{self._names}"
        return [f"{name} = {expression}", *self._deep(shape, name, around)]

    def _deep(self, shape: Shape, name: str, around: tuple[int, ...]) -> list[str]:
        if shape.kind == "union" and shape.plain:
            return self._alternatives(shape, name, around)
        if shape.kind == "any":
            return [f"if not natural({name}): return False"]
        if shape.kind == "opaque" or not shape.plain:
            return ["return False"]
        if shape.kind == "literal":
            members = self._bind([(type(each), each) for each in shape.cls])
            return [f"if (type({name}), {name}) not in {members}: return False"]
        if id(shape) in around or len(around) > _DEPTH:
            return [f"if not {self._function(shape)}({name}): return False"]
        return [
            f"if type({name}) is not {self._bind(_class(shape))}: return False",
            *self._inside(shape, name, (*around, id(shape))),
        ]

    def _alternatives(self, shape: Shape, name: str, around: tuple[int, ...]) -> list[str]:
        """A branch for each class, or where two alternatives have the same one, a call of each."""
        found = [element for element in shape.elements if element.cls is not type(None)]
        classes = [_class(element) for element in found]
        if len({*map(id, classes)}) < len(classes) or any(
            not isinstance(cls, type) or element.kind in {"union", "any", "literal"}
            for element, cls in zip(found, classes, strict=True)
        ):
            tests = [f"{self._function(element)}({name})" for element in shape.elements]
            return [f"if not ({' or '.join(tests)}): return False"]
        lines = [f"kind_{name} = type({name})", f"if kind_{name} is {self._bind(type(None))}:"]
        lines.append("    pass" if len(found) < len(shape.elements) else "    return False")
        for element, cls in zip(found, classes, strict=True):
            body = [] if _by_class(element) else self._inside_of(element, name, around)
            lines += [f"elif kind_{name} is {self._bind(cls)}:", *(f"    {line}" for line in body or ["pass"])]
        return [*lines, "else: return False"]

    def _inside_of(self, shape: Shape, name: str, around: tuple[int, ...]) -> list[str]:
        simple = shape.kind not in {"opaque", "literal"} and shape.plain
        if simple and id(shape) not in around and len(around) <= _DEPTH:
            return self._inside(shape, name, (*around, id(shape)))
        return self._deep(shape, name, around)

    def _inside(self, shape: Shape, name: str, around: tuple[int, ...]) -> list[str]:  # noqa: PLR0911 - one a kind
        """Lines for what is in a value whose class is known to be right."""
        if self._zoned and shape.kind == "scalar":
            return [f"if not whole_minutes({name}): return False"]
        if shape.cls is datetime:
            # Another offset than that of UTC would be lost in MessagePack's timestamps.
            zone = f"{name}.tzinfo"
            return [f"if {zone} is not None and {zone} is not utc and {name}.utcoffset(): return False"]
        if shape.cls is time:
            return [f"if {name}.tzinfo is not None: return False"]
        if shape.kind in {"list", "set", "frozenset", "tuple"}:
            return self._each(shape.elements[0], name, around)
        if shape.kind == "dict":
            key, element = shape.elements
            return [*self._each(key, name, around), *self._each(element, f"{name}.values()", around)]
        if shape.kind == "fixed_tuple":
            pairs = [(element, f"{name}[{index}]") for index, element in enumerate(shape.elements)]
            return [f"if len({name}) != {len(pairs)}: return False", *self._all(pairs, around)]
        if shape.kind == "named_tuple":
            return self._all([(part.shape, f"{name}[{index}]") for index, part in enumerate(shape.parts)], around)
        if shape.kind == "typed_dict":
            return self._keys(shape.parts, name, around)
        if shape.kind == "model":
            return self._model(shape, name, around)
        return self._all([(part.shape, f"{name}.{part.name}") for part in shape.parts], around)

    def _all(self, pairs: list[tuple[Shape, str]], around: tuple[int, ...]) -> list[str]:
        return [line for shape, expression in pairs for line in self._one(shape, expression, around)]

    def _each(self, shape: Shape, expression: str, around: tuple[int, ...]) -> list[str]:
        self._names += 1
        each = f"each_{self._names}"
        body = self._one(shape, each, around) if _by_class(shape) else self._deep(shape, each, around)
        return [f"for {each} in {expression}:", *(f"    {line}" for line in body)]

    def _keys(self, parts: tuple[Part, ...], name: str, around: tuple[int, ...]) -> list[str]:
        lines = [f"if not {name}.keys() <= {self._bind(frozenset(part.name for part in parts))}: return False"]
        for part in parts:
            body = self._one(part.shape, f"{name}[{part.name!r}]", around)
            lines += [f"if {part.name!r} in {name}:", *(f"    {line}" for line in body)]
            if part.required:
                lines.append("else: return False")
        return lines

    def _model(self, shape: Shape, name: str, around: tuple[int, ...]) -> list[str]:
        """A model's fields stand in its `__dict__`, far quicker to read than attributes, which go through pydantic."""
        lines = [
            f"if {name}.__pydantic_extra__: return False",
            f"given_{name} = {name}.{FIELDS_SET}",
            f"{name} = {name}.__dict__",
        ]
        for part in shape.parts:
            expression = f"{name}[{part.name!r}]"
            lines += self._one(part.shape, expression, around)
        # Fields that were not given are not stored: their defaults have to be the very objects they are here.
        defaults = {part.name: part.value for part in shape.parts if not part.required}
        lines += [
            f"if len(given_{name}) != {len(shape.parts)}:",
            f"    for name, default in {self._bind(defaults)}.items():",
            f"        if name not in given_{name} and {name}[name] is not default: return False",
        ]
        return lines


_MISSING = object()
"""An attribute that is not there: a slot that was never set."""
_MINUTE = timedelta(minutes=1)
_DEPTH = 6
"""How deep lines are nested before a function is called: Python allows 20 blocks."""


def _by_class(shape: Shape) -> bool:
    """Whether the class alone tells that a value is of `shape`."""
    if shape.kind == "scalar":
        return shape.cls is not datetime and shape.cls is not time
    return shape.kind == "enum" and shape.plain


def _class(shape: Shape) -> Any:
    return dict if shape.kind == "typed_dict" else shape.cls


def difference(before: Any, after: Any, path: str = "value", *, ignored: frozenset[str] = frozenset()) -> str | None:
    """What is not the same in `after`, in words without any content, or None. Classes, order and zones count.

    Fields named in `ignored` are not looked at.
    """
    kind = type(before)
    if kind is type(after) and kind in _COMPARED and before == after:
        return None
    if kind is not type(after):
        # Where a float is declared, a whole number is one, as type checkers have it; and drivers have a UUID of their
        # own, asyncpg for one, that is made faster and is the same.
        same = type(after) is float if kind is int else type(after) is UUID and isinstance(before, UUID)
        words = f"{path} is a {kind.__qualname__} and would come back as a {type(after).__qualname__}"
        return None if same and before == after else words
    names = _field_names(before)
    if names is not None:
        return next(_differences(before, after, path, [name for name in names if name not in ignored], ignored), None)
    if kind is list or isinstance(before, tuple):
        return _elements(before, after, path, ignored)
    if isinstance(before, dict):
        # The keys as a list: also the order of a dictionary is part of what a client sees.
        return _elements(list(before), list(after), f"{path}.keys()", ignored) or _elements(
            list(before.values()), list(after.values()), f"{path}.values()", ignored
        )
    return None if _equal(before, after) else f"{path} would come back changed"


def _differences(before: Any, after: Any, path: str, names: Iterable[str], ignored: frozenset[str]) -> Iterator[str]:
    for name in names:
        one, other = getattr(before, name, _MISSING), getattr(after, name, _MISSING)
        found = None if one is other else difference(one, other, f"{path}.{name}", ignored=ignored)
        if found is not None:
            yield found


def _elements(before: Any, after: Any, path: str, ignored: frozenset[str]) -> str | None:
    if len(before) != len(after):
        return f"{path} has {len(before)} elements and would come back with {len(after)}"
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        found = difference(one, other, f"{path}[{index}]", ignored=ignored)
        if found is not None:
            return found
    return None


def _field_names(value: Any) -> Iterable[str] | None:
    cls: Any = type(value)
    if hasattr(cls, "__struct_fields__"):
        return tuple(cls.__struct_fields__)
    if hasattr(cls, "__pydantic_fields__") and hasattr(cls, "model_fields"):
        return (*cls.__pydantic_fields__, "__pydantic_extra__", "__pydantic_private__", FIELDS_SET)
    if hasattr(cls, "__attrs_attrs__"):
        return [each.name for each in cls.__attrs_attrs__]
    return [each.name for each in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else None


def _equal(before: Any, after: Any) -> bool:
    if isinstance(before, (datetime, time)):
        same_offset = before.utcoffset() == after.utcoffset()
        return same_offset and bool(before.replace(tzinfo=None) == after.replace(tzinfo=None))
    if isinstance(before, Enum):
        return before is after
    if isinstance(before, (set, frozenset)):
        found = {each: each for each in after}
        return bool(before == after) and all(difference(each, found[each]) is None for each in before)
    if isinstance(before, (Decimal, float)):
        # As text: Decimal("1.0") equals Decimal("1") and 0.0 equals -0.0, NaN equals nothing; clients see text.
        return str(before) == str(after)
    return bool(before == after)
