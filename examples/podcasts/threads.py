"""Threads for SDKs that block: so many for each provider, so that one that hangs takes no other along."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """Runs blocking calls in `most` threads; a call takes the context along, and with it the caller's deadline."""

    def __init__(self, name: str, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """Call `call(*args)` in a thread. Cancelled, the thread goes on by itself: give it socket timeouts."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: context.run(call, *args))

    def close(self) -> None:
        """Begin no further call; wait for none."""
        self._pool.shutdown(wait=False, cancel_futures=True)
