"""The time between being told to end and ending, in which load balancers find out."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def delayed_end(seconds: float, drain: Callable[[], object]) -> Iterator[None]:
    """A block in which the server hears SIGTERM only `seconds` later, and `drain` is called at once.

    Servers close their sockets as soon as they hear it; a load balancer that asks for readiness then gets no answer,
    and callers that it still sends get none either. A second SIGTERM is passed on at once. Does nothing for 0 seconds,
    and outside of the main thread.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    told = False

    def later(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if told or not callable(before):
            pass_on(number, frame)
            return
        told = True
        loop.call_soon_threadsafe(drain)
        loop.call_soon_threadsafe(loop.call_later, seconds, pass_on, number, frame)

    def pass_on(number: int, frame: FrameType | None) -> None:
        if callable(before):
            before(number, frame)
        else:
            signal.signal(signal.SIGTERM, before)
            signal.raise_signal(number)

    signal.signal(signal.SIGTERM, later)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is later:
            signal.signal(signal.SIGTERM, before)
