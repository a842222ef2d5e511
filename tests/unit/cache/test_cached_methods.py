"""Methods that are cached: of instances, of classes, of neither, and what is asked of them from outside."""

import asyncio

import pytest

from seawall.cache import Cache
from tests.unit.cache.conftest import twice


def test_methods_of_every_kind():
    async def scene(cache: Cache) -> None:
        class Service:
            def __init__(self, name: str) -> None:
                self.name = name

            @cache.cached("method:{self.name}:{number}")
            async def method(self, number: int) -> str:
                return f"{self.name} {number}"

            @cache.cached("ignoring:{number}", ignore=("self",))
            async def ignoring(self, number: int) -> str:
                return f"{self.name} {number}"

            @classmethod
            @cache.cached("class:{cls.__name__}:{number}")
            async def of_class(cls, number: int) -> str:
                return f"{cls.__name__} {number}"

            @staticmethod
            @cache.cached("static:{number}")
            async def static(number: int) -> str:
                return f"static {number}"

        class Other(Service):
            pass

        a, b = Service("a"), Service("b")
        for _ in range(3):
            assert [await each.method(1) for each in (a, b)] == ["a 1", "b 1"]
            assert [await each.of_class(1) for each in (a, Other("c"))] == ["Service 1", "Other 1"]
            assert [await each.static(1) for each in (a, b)] == ["static 1"] * 2
            if cache.memory.max_entries or cache.tier:
                assert [await each.ignoring(1) for each in (a, b)] == ["a 1"] * 2
        await Service.ignoring.invalidate(a, 1)
        assert await b.ignoring(1) == "b 1"

    twice(scene)


def test_where_the_instance_is_ignored_it_may_be_left_out():
    async def scene(cache: Cache) -> None:
        class Service:
            calls = 0

            @cache.cached("page:{number}:{page}", ignore=("self",))
            async def page(self, number: int, page: int = 1) -> int:
                Service.calls += 1
                return Service.calls

        class Other(Service):
            pass

        service = Service()
        for key in (service.page.key, Service.page.key, Other().page.key):
            assert key(7) == key(7, 1) == key(number=7) == "page:7:1"
            assert key(7, 2) == key(7, page=2) == "page:7:2"
            assert key(service, 7) == key(Other(), 7, 1) == key(self=service, number=7) == "page:7:1"
        assert await service.page(7) == 1
        for calls, invalidate in enumerate((service.page.invalidate, Service.page.invalidate), 2):
            await invalidate(7)
            assert await service.page(7) == calls
        assert await service.page.refresh(service, 7) == await service.page(7) == 4

    twice(scene)


def test_an_instance_that_is_needed_and_missing_is_asked_for():
    async def main() -> None:
        cache = Cache()

        class Service:
            name = "a"

            @cache.cached("ignoring:{number}", ignore=("self",))
            async def ignoring(self, number: int = 1) -> int:
                return number

            @cache.cached("naming:{self.name}:{number}")
            async def naming(self, number: int = 1) -> int:
                return number

            @classmethod
            @cache.cached("class:{cls.__name__}:{number}")
            async def of_class(cls, number: int = 1) -> int:
                return number

        service = Service()
        with pytest.raises(TypeError, match=r"Service\.ignoring\.refresh\(self, \.\.\.\)"):
            await service.ignoring.refresh(7)
        with pytest.raises(TypeError, match=r"Service\.naming\.key\(self, \.\.\.\)"):
            service.naming.key(7)
        with pytest.raises(TypeError, match=r"Service\.naming\.invalidate\(self, \.\.\.\)"):
            await service.naming.invalidate()
        with pytest.raises(TypeError, match=r"Service\.of_class\.key\(cls, \.\.\.\)"):
            Service.of_class.key(7)
        assert service.naming.key(service, 7) == "naming:a:7"
        assert Service.of_class.key(Service, 7) == "class:Service:7"

    asyncio.run(main())


def test_a_function_may_have_a_parameter_of_that_name():
    cache = Cache()

    @cache.cached("k:{self}:{number}")
    async def function(self: int, number: int) -> int:
        return self + number

    assert function.key(1, 2) == "k:1:2"
