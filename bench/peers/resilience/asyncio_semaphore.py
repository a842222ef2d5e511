"""`asyncio.Semaphore` of the standard library: the yardstick for every bulkhead."""

import asyncio

from bench.shape import LIMIT, Call

NAME = "asyncio.Semaphore"
REFERENCE = True


def bulkhead(call: Call) -> Call:
    slots = asyncio.Semaphore(LIMIT)

    async def limited(value: int) -> int:
        async with slots:
            return await call(value)

    return limited
