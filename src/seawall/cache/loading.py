"""A load: what a loader is told, and what it says about what it brings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
"""Where there is no value; None is one."""


class Load:
    """One load of `key`, for its loader to read and to adjust.

        async def rates(load: Load) -> Rates:
            response = await client.get(URL, headers={"if-none-match": load.validator or ""})
            if response.status_code == 304:
                return load.unchanged()
            load.validator = response.headers["etag"]
            load.ttl = max_age(response)
            return response.json()

    stale: the value that is no longer fresh, `MISSING` where there is none. validator: what the loader that brought
    it said about its version, such as an ETag; set it for the new one. ttl: seconds, in place of the options'; 0 does
    not keep the value. tags: further tags.

    Handed to a loader that takes one argument; elsewhere `loading()` gives it.
    """

    __slots__ = ("_unchanged", "key", "stale", "tags", "ttl", "validator")

    def __init__(self, key: str, stale: Any = MISSING, validator: str | None = None) -> None:
        self.key = key
        self.stale = stale
        self.validator = validator
        self.ttl: float | None = None
        self.tags: tuple[str, ...] = ()
        self._unchanged = False

    def unchanged(self) -> Any:
        """Return this from the loader: the stale value is still right, and fresh again from now on."""
        if self.stale is MISSING:
            message = f"there is no stale value of cache key {self.key!r} that could be unchanged"
            raise LookupError(message)
        self._unchanged = True
        return self.stale


_loading: ContextVar[Load | None] = ContextVar("seawall_cache_load", default=None)


def loading() -> Load:
    """The load under way: for a decorated function, which takes its own arguments."""
    load = _loading.get()
    if load is None:
        message = "there is no load under way; loading() is for functions that the cache calls"
        raise LookupError(message)
    return load


Loader = Callable[..., Any]
"""`async def` or `def`, without arguments or with the `Load`."""


async def run(loader: Loader, load: Load) -> Any:
    """Call `loader` with `load` if it takes one argument."""
    with under_way(load):
        result = loader(load) if _takes_load(loader) else loader()
        if inspect.isawaitable(result):
            result = await result
        return result


@contextmanager
def under_way(load: Load) -> Iterator[None]:
    """`loading()` gives `load` in this block."""
    token = _loading.set(load)
    try:
        yield
    finally:
        _loading.reset(token)


def _takes_load(loader: Loader) -> bool:
    code = getattr(loader, "__code__", None)
    if code is not None and not code.co_argcount:
        return False
    try:
        parameters = inspect.signature(loader).parameters.values()
    except ValueError:
        return False
    return any(
        parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in parameters
    )
