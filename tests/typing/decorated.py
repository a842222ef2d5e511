"""What a type checker knows of decorated functions: all that it knew before. Checked, never run."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

from seawall.resilience import (
    AdaptiveLimit,
    Bulkhead,
    Chaos,
    CircuitBreaker,
    Fallback,
    Hedge,
    Pipeline,
    RateLimit,
    Registry,
    Retry,
    Timeout,
)
from seawall.resilience.policy import Guard

retry = Retry(on=ConnectionError)
breaker = CircuitBreaker("db")
pipeline = Pipeline("p", Bulkhead(5), Timeout(9.0), retry, breaker, Timeout(3.0))


@retry
async def fetch(path: str, *, limit: int = 10) -> list[str]:
    return [path] * limit


@breaker
def load(key: int, /, default: str | None = None) -> str:
    return default or str(key)


@pipeline
async def rows(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b""


@Timeout(1.0)
def lines(path: str, *more: str) -> Iterator[str]:
    yield from (path, *more)


@RateLimit(5)
@AdaptiveLimit()
@Hedge(delay=1.0)
@Chaos()
@Fallback.value([], on=OSError)
async def stacked(flag: bool, **options: float) -> list[int]:
    return [int(flag), len(options)]


class Client:
    """Decorated methods stay methods."""

    @pipeline
    async def get(self, key: str) -> bytes:
        return key.encode()

    @classmethod
    @retry
    def make(cls, url: str) -> "Client":
        return cls()

    @staticmethod
    @retry
    def parse(text: str) -> int:
        return int(text)


async def results() -> None:
    assert_type(await fetch("/", limit=5), list[str])
    assert_type(load(1, default="x"), str)
    assert_type(rows(3), AsyncIterator[bytes])
    assert_type(lines("a", "b"), Iterator[str])
    assert_type(await stacked(True, x=0.5), list[int])
    assert_type(await Client().get("k"), bytes)
    assert_type(Client.make("http://x"), Client)
    assert_type(Client.parse("5"), int)
    async for row in rows(1):
        assert_type(row, bytes)
    for line in lines("a"):
        assert_type(line, str)


async def calls() -> None:
    async def plain(path: str, *, limit: int = 10) -> float:
        return len(path) / limit

    def blocking(key: int) -> str:
        return str(key)

    assert_type(await breaker.call(plain, "/", limit=5), float)
    assert_type(await pipeline.call(plain, "/"), float)
    assert_type(pipeline.call(blocking, 5), str)
    assert_type(await pipeline.call(Client().get, "k"), bytes)
    assert_type(await Registry(CircuitBreaker)["host"].call(plain, "/"), float)
    assert_type(Registry(CircuitBreaker)["host"], CircuitBreaker)


async def blocks() -> None:
    with breaker.guard() as guard:
        assert_type(guard, Guard)
    async with pipeline.guard() as guard:
        assert_type(guard, Guard)


async def own(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return await call()


def own_blocking(call: Callable[[], Any]) -> Any:
    return call()


with_own = Pipeline("own", own, retry, own_blocking, pipeline)
judged = Retry(on=lambda error: "busy" in str(error), on_result=lambda result: result is None)
either = CircuitBreaker(on=(OSError, TimeoutError), failed_result=bool)
