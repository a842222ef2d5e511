"""Which function a line is in, by the indentation of the source: traces of allocations only have lines."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from seawall.profiling.stack import Call

_DEFINITION = re.compile(r"(?:async\s+def|def|class)\s+(\w+)")
_CLOSING = (")", "]", "}", "#", "@")
"""What begins a line that says nothing of what encloses it."""
_LARGEST = 2**21
"""Bytes of a file that is read; a larger one was generated."""


class Functions:
    """Looks up functions; keeps the sources it reads, so let it go when done."""

    def __init__(self) -> None:
        self.call = cache(self._call)
        """The call of a file and a line; its function is empty where that can't be told."""
        self._lines = cache(_read)

    def _call(self, file: str, line: int) -> Call:
        return Call(function_at(self._lines(file), line), file, line)


def function_at(lines: list[str], line: int) -> str:
    """The classes and functions around `line`, from 1, as `Store.load`; empty for what is in none."""
    names: list[str] = []
    enclosing: int | None = None
    for text in reversed(lines[:line]):
        code = text.lstrip()
        indent = len(text) - len(code)
        if not code or (enclosing is not None and (indent >= enclosing or code.startswith(_CLOSING))):
            continue
        found = _DEFINITION.match(code)
        # The line itself is executed by what is around it, also where it defines something.
        if found is not None and enclosing is not None:
            names.append(found[1])
        enclosing = indent
        if indent == 0:
            break
    return ".".join(reversed(names))


def _read(file: str) -> list[str]:
    try:
        path = Path(file)
        if path.stat().st_size > _LARGEST:
            return []
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
