"""Writes YAML that people read: mappings, lists, text, numbers; long text as a block."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

# Words that some reader takes for something other than text are not written plain, nor is what looks like a number.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_DURATION = re.compile(r"[0-9]+(s|m|h|d)")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


class Block(str):
    """Text that is written as a block, also when it is one line."""

    __slots__ = ()


def written(value: Mapping[str, Any], *, comment: str = "") -> str:
    """A document. comment: put in front, a line each.

    Raises `TypeError` for anything but dict, list, tuple, str, int, float, bool and None.
    """
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + "\n".join(_mapping(value, 0)) + "\n"


def _mapping(value: Mapping[str, Any], depth: int) -> list[str]:
    lines: list[str] = []
    for key, item in value.items():
        if not isinstance(key, str):
            message = f"YAML: a key must be text, not {type(key).__name__}"
            raise TypeError(message)
        lines += _item("  " * depth + _text(key, 0) + ":", item, depth)
    return lines


def _item(before: str, value: Any, depth: int) -> list[str]:
    """The lines of a value, the first of them after `before`."""
    if isinstance(value, Mapping) and value:
        return [before, *_mapping(value, depth + 1)]
    if isinstance(value, (list, tuple)) and value:
        return [before, *(line for item in value for line in _entry(item, depth + 1))]
    return f"{before} {_scalar(value, depth + 1)}".split("\n")


def _entry(value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    if isinstance(value, Mapping) and value:
        first, *rest = _mapping(value, depth + 1)
        return [f"{indent}- {first.lstrip(' ')}", *rest]
    if not isinstance(value, (list, tuple)):
        return f"{indent}- {_scalar(value, depth + 1)}".split("\n")
    message = "YAML: a list in a list is not written"
    raise TypeError(message)


def _scalar(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return _text(value, depth)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int):
        return repr(value)
    if isinstance(value, float) and math.isfinite(value):
        # YAML 1.1 takes 1e-05 for text, for want of a point.
        digits, exponent, power = repr(value).partition("e")
        return f"{digits}{'' if '.' in digits else '.0'}{exponent}{power}"
    if isinstance(value, (Mapping, list, tuple)) and not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    message = f"YAML: {type(value).__name__} is not written"
    raise TypeError(message)


def _text(value: str, depth: int) -> str:
    lines = value.removesuffix("\n").split("\n")
    if depth and ("\n" in value or isinstance(value, Block)) and _fits_a_block(lines):
        indent = "  " * depth
        body = "\n".join(indent + line if line else "" for line in lines)
        return f"{'|' if value.endswith(chr(10)) else '|-'}\n{body}"
    if _DURATION.fullmatch(value) or (_PLAIN.fullmatch(value) and value.lower() not in _RESERVED):
        return value
    if '"' in value and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    # JSON's strings are YAML's, but that YAML wants everything escaped that can't be printed.
    return re.sub(r"[^\x20-\x7e]", lambda found: _escaped(found[0]), json.dumps(value, ensure_ascii=False))


def _fits_a_block(lines: list[str]) -> bool:
    return (
        bool(lines[0] and lines[-1])
        and not lines[0].startswith(" ")
        and all(line.isprintable() and line == line.rstrip() for line in lines)
    )


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004
