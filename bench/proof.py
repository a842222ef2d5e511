"""Looks whether a layer does what it claims, before it is timed: a layer that does nothing is the fastest."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.request import urlopen

from bench.requests_shape import Layered, Place

_PATIENCE = 12.0
"""Seconds in which what is sent must arrive; libraries gather spans for 5 s."""
_RECORDED = "00-{0:032x}-{0:016x}-01"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a request got."""

    status: int
    headers: Mapping[str, str]
    body: str


Ask = Callable[[str, Mapping[str, str]], Awaitable[Answer]]
"""Sends a GET with these headers to a path."""


async def prove(layered: Layered, place: Place, ask: Ask, expected: str) -> None:
    """Raise `LookupError` with the first claim that does not hold. expected: the body of `/x/7`."""
    answer = await ask("/x/7", {})
    if answer.status != 200 or answer.body != expected:
        raise LookupError(f"answered {answer.status} {answer.body[:60]!r}")
    if absent := set(layered.headers) - set(answer.headers):
        raise LookupError(f"no {', '.join(sorted(absent))} in an answer")
    if layered.logs:
        await _until(lambda: place.log.exists() and b"/x/7" in place.log.read_bytes(), "no line in the log")
    if layered.metrics and '"/x/{id}"' not in (await ask("/metrics", {})).body:
        raise LookupError("no route in /metrics")
    if layered.traces:
        await ask("/x/8", {"traceparent": _RECORDED.format(8)})
        await _until(lambda: _arrived(place) > 0, "no trace arrived")
    if layered.errors:
        before = _arrived(place)
        await ask("/boom/9", {})
        await _until(lambda: _arrived(place) > before, "no error arrived")


def _arrived(place: Place) -> int:
    with urlopen(place.sink, timeout=2.0) as answer:
        return int(answer.read())


async def _until(holds: Callable[[], bool], otherwise: str) -> None:
    ends = time.monotonic() + _PATIENCE
    while not await asyncio.to_thread(holds):
        if time.monotonic() > ends:
            raise LookupError(otherwise)
        await asyncio.sleep(0.05)
