"""async-timeout: on Python 3.11 and newer it is `asyncio.timeout` under its old name."""

from async_timeout import timeout as limit

from bench.shape import TIMEOUT, Call

NAME = "async-timeout"
DISTRIBUTIONS = ("async-timeout",)


def timeout(call: Call) -> Call:
    async def within(value: int) -> int:
        async with limit(TIMEOUT):
            return await call(value)

    return within
