"""Which lines allocate what stays, for some seconds, by `tracemalloc`."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.profiling import flame
from seawall.profiling.source import Functions
from seawall.profiling.stack import Call, below_loop, short

DEPTH = 24
"""Calls of a stack that are kept, the innermost."""
LINES, STACKS = 50, 5_000
"""The lines and stacks that are kept, those first that grew most."""
_OURS = str(Path(__file__).parent / "*")


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What a line allocated and nobody freed: bytes, in so many blocks."""

    file: str
    line: int
    bytes: int
    blocks: int


@dataclass(frozen=True, kw_only=True)
class MemoryProfile:
    """What was allocated in `seconds` and still there at their end, by line and by stack. peak: the most meanwhile."""

    seconds: float
    bytes: int
    peak: int
    lines: tuple[Growth, ...]
    stacks: tuple[tuple[tuple[Call, ...], int], ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: the lines that grew most, first."""
        lines = [
            {"file": each.file, "line": each.line, "bytes": each.bytes, "blocks": each.blocks} for each in self.lines
        ]
        return {"seconds": self.seconds, "bytes": self.bytes, "peak": self.peak, "lines": lines}

    def json(self) -> str:
        """The same as text."""
        return json.dumps(self.as_dict())

    def html(self) -> str:
        """The flame graph of allocations, by the stacks that made them."""
        about = (
            f"Allocated within {self.seconds:.2f} s and not freed: {_amount(self.bytes)}; at most it was "
            f"{_amount(self.peak)}. Stacks show their innermost {DEPTH} calls."
        )
        return flame.page(flame.tree(self.stacks), title="Memory profile", about=about, amount=_amount)


async def profile_memory(seconds: float) -> Callable[[], MemoryProfile]:
    """Trace allocations for `seconds`. Returns a function that makes the profile: let it run in another thread.

    All threads are traced, and everything that allocates is slower meanwhile. Tracing ends also when cancelled, unless
    somebody else had begun it: then it is left on, and what was there before doesn't count.
    """
    traced = tracemalloc.is_tracing()
    before = tracemalloc.take_snapshot() if traced else None
    earlier = tracemalloc.get_traced_memory()[0]
    if not traced:
        tracemalloc.start(DEPTH)
    try:
        await asyncio.sleep(seconds)
        snapshot = tracemalloc.take_snapshot()
        now, peak = tracemalloc.get_traced_memory()
    finally:
        if not traced:
            tracemalloc.stop()
    # The peak may be older than this profile where somebody else began.
    return lambda: _profile(seconds, snapshot, before, now - earlier, now - earlier if traced else peak)


def _profile(
    seconds: float, snapshot: tracemalloc.Snapshot, before: tracemalloc.Snapshot | None, size: int, peak: int
) -> MemoryProfile:
    ignored = [tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, _OURS)]
    snapshot = snapshot.filter_traces(ignored)
    # Nothing was traced before: all there is has grown.
    before = tracemalloc.Snapshot((), 1) if before is None else before.filter_traces(ignored)
    lines = [
        Growth(
            file=short(found.traceback[0].filename),
            line=found.traceback[0].lineno,
            bytes=found.size_diff,
            blocks=found.count_diff,
        )
        for found in _grown(snapshot, before, "lineno")[:LINES]
    ]
    functions = Functions()
    stacks = [
        (
            tuple(below_loop([functions.call(frame.filename, frame.lineno) for frame in found.traceback])),
            found.size_diff,
        )
        for found in _grown(snapshot, before, "traceback")[:STACKS]
    ]
    return MemoryProfile(seconds=seconds, bytes=size, peak=peak, lines=tuple(lines), stacks=tuple(stacks))


def _grown(snapshot: tracemalloc.Snapshot, before: tracemalloc.Snapshot, by: str) -> list[tracemalloc.StatisticDiff]:
    found = [difference for difference in snapshot.compare_to(before, by) if difference.size_diff > 0]
    return sorted(found, key=lambda difference: -difference.size_diff)


def _amount(weight: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if abs(weight) < 1024:  # noqa: PLR2004
            return f"{weight:.0f} {unit}" if unit == "B" else f"{weight:.1f} {unit}"
        weight /= 1024
    return f"{weight:.1f} GiB"
