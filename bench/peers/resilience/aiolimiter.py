"""aiolimiter: a leaky bucket."""

from aiolimiter import AsyncLimiter

from bench.shape import RATE, Call

NAME = "aiolimiter"
DISTRIBUTIONS = ("aiolimiter",)


def rate_limit(call: Call) -> Call:
    limiter = AsyncLimiter(RATE, 1.0)

    async def limited(value: int) -> int:
        async with limiter:
            return await call(value)

    return limited
