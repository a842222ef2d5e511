"""Stacks as people read them: `file:line function`, from where the event loop called; never a value."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from types import FrameType
from typing import NamedTuple

_LOOP_FUNCTIONS = frozenset({"run", "run_until_complete", "run_forever", "_run_once"})
_LOOP_FILES = ("asyncio/runners.py", "asyncio/base_events.py", "asyncio/unix_events.py", "asyncio/selector_events.py")
_WRAPPERS = frozenset({str(Path(__file__).with_name("wrapping.py"))})
"""Who reads a stack knows that what it measures is measured."""


class Call(NamedTuple):
    """One level of a stack. file: as the interpreter has it. line: 0 where that isn't known."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{short(self.file)}:{self.line} {self.function}"


def stack_of(frame: FrameType | None) -> list[Call]:
    """The calls that led to `frame`, outermost first."""
    calls: list[Call] = []
    while frame is not None:
        calls.append(Call(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno or 0))
        frame = frame.f_back
    calls.reverse()
    return calls


def below_loop(calls: Sequence[Call]) -> list[Call]:
    """What the event loop has called, without the loop and our wrappers; nothing when it waits for something to do."""
    # asyncio calls everything through `Handle._run`; other loops are not written in Python and leave no frames.
    begin = 0
    for depth, call in enumerate(calls):
        name = call.function.rpartition(".")[2]
        if name == "_run" and call.file.endswith("asyncio/events.py"):
            begin = depth + 1
            break
        if name in _LOOP_FUNCTIONS and call.file.endswith(_LOOP_FILES):
            begin = depth + 1
    left = [call for call in calls[begin:] if call.file not in _WRAPPERS]
    return [] if left and left[0].file.endswith("/selectors.py") else left


@lru_cache(maxsize=4096)
def short(file: str) -> str:
    """A path below that of the modules it was imported from; of any other file, its last three parts."""
    if file.startswith("<"):
        return file
    roots = [root for root in sys.path if root and file.startswith(root.rstrip("/\\") + "/")]
    if roots:
        return file[len(max(roots, key=len).rstrip("/\\")) + 1 :]
    return "/".join(PurePath(file).parts[-3:])
