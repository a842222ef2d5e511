"""What the event loop does for some seconds, sampled by the pyinstrument package."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seawall.core import MissingExtraError
from seawall.profiling import flame
from seawall.profiling.errors import ProfileRunningError
from seawall.profiling.stack import Call, below_loop, short

try:
    from pyinstrument import Profiler as Sampler
except ImportError:
    raise MissingExtraError("seawall.profiling.pyinstrument", "pyinstrument", "telemetry") from None

SAMPLES = 5_000
"""The most there are of one profile, 40 MB of very deep stacks: a longer one looks less often."""
OFTEN = 0.001
"""Seconds between two samples, at least."""
_IDLE = Call("(waiting)", "", 0)


@dataclass(frozen=True, kw_only=True)
class CpuProfile:
    """What the event loop's thread did: for how many seconds it was in which stack, in the order of time.

    The stacks begin where the loop called; one without calls is the loop that waits. Other threads are not in it.
    """

    seconds: float
    samples: tuple[tuple[tuple[Call, ...], float], ...]

    def html(self) -> str:
        """The flame graph, of the seconds in which it did something."""
        busy = [(calls, weight) for calls, weight in self.samples if calls]
        worked = sum(weight for _, weight in busy)
        share = worked / self.seconds if self.seconds > 0 else 0.0
        about = (
            f"The event loop was busy for {worked:.2f} s of {self.seconds:.2f} s ({share:.0%}), seen in {len(busy):,} "
            f"samples; while it waited, nothing is drawn. Other threads are not seen."
        )
        return flame.page(flame.tree(busy), title="CPU profile of the event loop", about=about, amount=_seconds)

    def speedscope(self) -> str:
        """JSON for speedscope.app, in the order of time, with the time in which the loop waited."""
        index: dict[Call, int] = {}
        samples = [[index.setdefault(call, len(index)) for call in calls or (_IDLE,)] for calls, _ in self.samples]
        weights = [round(weight, 6) for _, weight in self.samples]
        name = "CPU profile of the event loop"
        profile = {
            "type": "sampled", "name": name, "unit": "seconds", "startValue": 0, "endValue": round(sum(weights), 6),
            "samples": samples, "weights": weights,
        }  # fmt: skip
        frames: list[dict[str, Any]] = [
            {"name": call.function} | ({"file": short(call.file), "line": call.line} if call.file else {})
            for call in index
        ]
        return json.dumps(
            {
                "$schema": "https://www.speedscope.app/file-format-schema.json",
                "name": name,
                "exporter": "seawall",
                "activeProfileIndex": 0,
                "shared": {"frames": frames},
                "profiles": [profile],
            }
        )


async def profile_cpu(seconds: float) -> Callable[[], CpuProfile]:
    """Sample this thread for `seconds`. Returns a function that makes the profile: let it run in another thread.

    It ends when cancelled. Raises `ProfileRunningError` where something else profiles this thread.
    """
    if sys.getprofile() is not None:
        raise ProfileRunningError("another profiler of this thread")
    # Whoever's task it is: what else the loop does while this one waits is what is looked for.
    sampler = Sampler(interval=max(OFTEN, seconds / SAMPLES), async_mode="disabled")
    sampler.start(target_description="seawall")
    try:
        await asyncio.sleep(seconds)
    finally:
        session = sampler.stop()
    return lambda: CpuProfile(seconds=session.duration, samples=_samples(session.frame_records))


def _samples(records: list[tuple[list[str], float]]) -> tuple[tuple[tuple[Call, ...], float], ...]:
    known: dict[str, Call] = {}
    found = []
    for stack, weight in records:
        # The first is the thread.
        calls = [known.get(text) or known.setdefault(text, _call(text)) for text in stack[1:]]
        found.append((tuple(below_loop(calls)), weight))
    return tuple(found)


def _call(text: str) -> Call:
    """A call from pyinstrument's text: name, file and line, then marks such as `c` and the class."""
    identity, *marks = text.split("\x01")
    name, file, line = (*identity.split("\x00"), "", "0")[:3]
    owner = next((mark[1:] for mark in marks if mark.startswith("c")), None)
    return Call(f"{owner}.{name}" if owner else name, file, int(line))


def _seconds(weight: float) -> str:
    return f"{weight:.2f} s" if weight >= 1 else f"{weight * 1000:.0f} ms"
