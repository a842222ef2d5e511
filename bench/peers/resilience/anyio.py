"""anyio: cancel scopes and a capacity limiter."""

import anyio

from bench.shape import LIMIT, TIMEOUT, Call

NAME = "anyio"
DISTRIBUTIONS = ("anyio",)


def timeout(call: Call) -> Call:
    async def within(value: int) -> int:
        with anyio.fail_after(TIMEOUT):
            return await call(value)

    return within


def bulkhead(call: Call) -> Call:
    limiter = anyio.CapacityLimiter(LIMIT)

    async def limited(value: int) -> int:
        async with limiter:
            return await call(value)

    return limited
