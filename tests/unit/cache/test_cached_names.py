"""Whose results stand under a key: no function is given what another one returned."""

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

import pytest

from seawall.cache import Cache
from seawall.core import OptionError


def multiplier(factor: int) -> Callable[[int], Any]:
    async def multiplied(number: int) -> int:
        return number * factor

    return multiplied


async def one(number: int) -> str:
    return f"one {number}"


async def two(number: int) -> str:
    return f"two {number}"


def traced(function: Any) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return call


def test_a_function_that_uses_what_is_around_it_takes_a_template():
    """Its name is that of every other one made there."""
    cache = Cache()
    for function in (multiplier(2), traced(multiplier(2))):
        with pytest.raises(OptionError, match=r"template.*multiplied uses factor of the function around it"):
            cache.cached()(function)

    async def main() -> None:
        double = cache.cached("double:{number}")(multiplier(2))
        assert await double(4) == 8

    asyncio.run(main())


def test_so_does_a_lambda():
    with pytest.raises(OptionError, match="has no name"):
        Cache().cached()(lambda number: number)


def test_who_calls_himself_his_base_class_or_is_wrapped_does_not():
    cache = Cache()

    class Base:
        async def get(self, number: int) -> int:
            return number

    class Service(Base):
        @cache.cached(ignore=("self",))
        async def get(self, number: int) -> int:
            return await super().get(number) + 1

    @cache.cached()
    async def fib(number: int) -> int:
        return number if number < 2 else await fib(number - 1) + await fib(number - 2)

    traced_one = cache.cached()(traced(one))

    async def main() -> None:
        assert await Service().get(1) == 2
        assert await fib(50) == 12586269025
        assert await traced_one(1) == "one 1"

    asyncio.run(main())


def test_two_functions_with_one_template_are_refused_by_their_names():
    cache = Cache()
    cache.cached("k:{number}")(one)
    with pytest.raises(OptionError, match=re.escape(f"another one for {__name__}.two: {__name__}.one has it")):
        cache.cached("k:{number}")(two)
    Cache().cached("k:{number}")(two)


def test_one_function_may_be_decorated_again_as_when_its_module_is_reloaded():
    cache = Cache()

    async def main() -> None:
        first, second = (cache.cached("k:{number}")(one) for _ in range(2))
        assert await first(1) == await second(1) == "one 1"

    asyncio.run(main())


def test_a_function_that_could_not_be_decorated_leaves_its_template_free():
    cache = Cache()
    with pytest.raises(OptionError, match="category"):
        cache.cached("k:{number}", category="unknown")(one)
    cache.cached("k:{number}")(two)
