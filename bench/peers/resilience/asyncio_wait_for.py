"""`asyncio.wait_for` of the standard library."""

import asyncio

from bench.shape import TIMEOUT, Call

NAME = "asyncio.wait_for"
REFERENCE = True


def timeout(call: Call) -> Call:
    async def within(value: int) -> int:
        return await asyncio.wait_for(call(value), TIMEOUT)

    return within
