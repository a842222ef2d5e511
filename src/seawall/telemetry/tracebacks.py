"""Exceptions as text, quickly: the standard library parses each line of code again to underline a part of it."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from traceback import walk_tb

from seawall.telemetry import redaction

MOST_FRAMES = 60
"""Of one exception; those in the middle of more are left out."""
MOST_ERRORS = 20
"""Of a chain or a group."""


def text_of(error: BaseException) -> str:
    """As Python prints it, oldest cause first; secrets in messages are hidden, code is shown as it is."""
    return "\n".join(_lines(error, set()))


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    if id(error) in seen or len(seen) >= MOST_ERRORS:
        yield "(an error that was told above)" if id(error) in seen else "(more errors)"
        return
    seen.add(id(error))
    if error.__cause__ is not None:
        yield from _lines(error.__cause__, seen)
        yield "\nThe above exception was the direct cause of the following exception:\n"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _lines(error.__context__, seen)
        yield "\nDuring handling of the above exception, another exception occurred:\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):"
        yield from _frames(error)
    yield _last(error)
    for note in getattr(error, "__notes__", ()):
        yield redaction.text(str(note))
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions, 1):
            yield f"  +---------------- {number} ----------------"
            yield from ("  | " + line for part in _lines(inner, seen) for line in part.split("\n"))


def _frames(error: BaseException) -> Iterator[str]:
    frames = [(frame.f_code, line, frame.f_globals) for frame, line in walk_tb(error.__traceback__)]
    left_out = len(frames) - MOST_FRAMES
    for place, (code, line, names) in enumerate(frames):
        if left_out > 0 and MOST_FRAMES // 2 <= place < MOST_FRAMES // 2 + left_out:
            if place == MOST_FRAMES // 2:
                yield f"  ... {left_out} more ..."
            continue
        yield f'  File "{code.co_filename}", line {line}, in {code.co_qualname}'
        source = linecache.getline(code.co_filename, line, names).strip()
        if source:
            yield f"    {source}"


def _last(error: BaseException) -> str:
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - whatever a message does, the traceback is told
        message = "<a message that can't be had>"
    return f"{name}: {redaction.text(message)}" if message else name
