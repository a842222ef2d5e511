"""`asyncio.timeout` of the standard library: the yardstick for every timeout."""

import asyncio

from bench.shape import TIMEOUT, Call

NAME = "asyncio.timeout"
REFERENCE = True


def timeout(call: Call) -> Call:
    async def within(value: int) -> int:
        async with asyncio.timeout(TIMEOUT):
            return await call(value)

    return within
