"""`@cache.cached`: a function whose results are cached, with its own signature."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Sequence
from inspect import Parameter, Signature
from string import Formatter
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast

from seawall.cache import keys
from seawall.cache.blocking import threaded
from seawall.cache.codec import immutable
from seawall.cache.fill import Order
from seawall.cache.freshness import Freshness
from seawall.cache.given import tags_of
from seawall.cache.keys import KeyTemplate
from seawall.cache.methods import Receiver
from seawall.cache.node import Node
from seawall.cache.values import opened
from seawall.core.errors import OptionError
from seawall.core.options import number

if TYPE_CHECKING:
    from seawall.cache.cache import Cache

P = ParamSpec("P")
R = TypeVar("R")


class CachedFunction(Protocol[P, R]):
    """A cached function: called like the one it wraps, `__wrapped__`."""

    __name__: str
    __wrapped__: Callable[P, R]

    def __get__(self, instance: object, owner: type | None = None, /) -> Any:
        """A method binds as any function does; what a type checker knows of it ends there."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The cached result, else the function's."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key under which the result of this call is kept.

        Of a method too: `Service.podcasts.key(service, 7)`; where `self` is ignored, it may be left out, as in
        `service.podcasts.key(7)`. So with `invalidate`. `refresh` calls the method, so it is always told `self`.
        """
        ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget the result of this call, in every tier and process."""
        ...

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function now, whatever is cached, keep its result, and return it."""
        ...


class Caching(Generic[P, R]):
    """What a cached function does beside a hit: makes keys, orders, and values."""

    def __init__(
        self,
        cache: Cache,
        function: Callable[P, R],
        template: str | None,
        *,
        ttl: float | None,
        tags: Sequence[str],
        category: str,
        freshness: Freshness | None,
        ignore: Iterable[str],
        type: Any,
    ) -> None:
        _check(function)
        signature = inspect.signature(function)
        for parameter in signature.parameters:
            if parameter.startswith("_seawall"):
                raise OptionError("Cache.cached", "parameter", parameter, "a name that does not begin with _seawall")
        if ttl is not None:
            number("Cache.cached", "ttl", ttl, at_least=0)
        if template is None:
            _check_name(function)
        name = f"{function.__module__}.{function.__qualname__}"
        self.template = KeyTemplate(template, signature, ignore=ignore, name=name)
        self.receiver = Receiver(function, signature, self.template.ignore)
        self.tags = [
            KeyTemplate(tag, signature, ignore=_unnamed(tag, signature)) for tag in tags_of("Cache.cached", tags)
        ]
        self.signature = signature
        self.cache = cache
        self.function = function
        self.awaiting = inspect.iscoroutinefunction(function)
        self.freshness = cache.options(category) if freshness is None else freshness
        owner = cache.templates.setdefault(self.template.template, name)
        if owner != name:
            allowed = f"another one for {name}: {owner} has it, and each would give the other's results"
            raise OptionError("Cache.cached", "template", self.template.template, allowed)
        self.ttl = ttl
        self.meter = cache.meter_of(category, self.template.template)
        self.fast: dict[Any, Node] = cache.memory.alias()
        self._type = type
        self._typed = type is not None

    @property
    def type(self) -> Any:
        """What results are encoded as: what the function says it returns. Read when first needed."""
        if not self._typed:
            try:
                found = typing.get_type_hints(self.function, include_extras=True).get("return")
            except NameError as error:
                allowed = f"a name that can be resolved, or cached(type=...); {error}"
                raise OptionError(self.function.__qualname__, "return annotation", error.name, allowed) from error
            self._type = None if found is Any else found
            self._typed = True
        return self._type

    def order(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Order:
        """The order of this call."""
        key = self.template.of(*args, **kwargs)
        tags = tuple([tag.of(*args, **kwargs) for tag in self.tags])
        return Order(key, lambda: self.function(*args, **kwargs), self.freshness, self.meter, self.type, self.ttl, tags)

    async def answer(self, alias: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result, when it was not found fast."""
        order = self.order(args, kwargs)
        result = await self.cache.reader.answer(order)
        self.found(order.key, alias)
        return result

    def found(self, key: str, alias: Any) -> None:
        """Find the entry of `key` under `alias` from now on, if it is found fast under its key."""
        node = self.cache.memory.fast.get(key)
        # An argument that can change is another one then, whatever its hash and its equality say.
        if node is not None and alias is not ... and immutable(alias):
            self.cache.memory.add_alias(node, self.fast, alias)

    async def refresh(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Load now, whatever is there."""
        order = self.order(args, kwargs)
        return await self.cache.reader.refresh(order if self.awaiting else threaded(order))

    def answer_blocking(self, alias: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result for a function that is no coroutine."""
        order = self.order(args, kwargs)
        node = self.cache.reader.fresh(order.key)
        if node is not None:
            node.hits += 1.0
            self.found(order.key, alias)
            return opened(node.value)
        return self.cache.answer_blocking(order)


def decorate(caching: Caching[P, R]) -> CachedFunction[P, R]:
    """The cached function: with the wrapped one's parameters, so that Python binds the arguments of a hit."""
    function = caching.function
    awaiting = caching.awaiting
    parameters = caching.signature.parameters
    used = [name for name in parameters if name not in caching.template.ignore]
    plain = {field for _, field, _, _ in Formatter().parse(caching.template.template) if field}
    # Arguments that are the key's very parts find the entry by themselves: equal arguments have equal keys.
    alias = "..."
    if plain.issuperset(used):
        alias = used[0] if len(used) == 1 else f"({', '.join(used)})"
    bound: dict[str, Any] = {}
    declared = keys.declared_parameters(caching.signature, bound)
    args, kwargs = _forwarded(caching.signature)
    look = (
        ""
        if alias == "..."
        else f"""
    try:
        node = _seawall_fast[{alias}]
    except (KeyError, TypeError):
        pass
    else:
        node.hits += 1.0
        return node.value"""
    )
    source = f"""
{"async " if awaiting else ""}def cached({declared}):{look}
    return {"await " if awaiting else ""}_seawall_answer({alias}, {args}, {kwargs})
"""
    scope = {
        **bound,
        "_seawall_fast": caching.fast,
        "_seawall_answer": caching.answer if awaiting else caching.answer_blocking,
    }
    exec(compile(source, f"<seawall cached {function.__qualname__}>", "exec"), scope)  # noqa: S102 - names only
    cached: Any = functools.wraps(function)(scope["cached"])

    first = caching.receiver.first

    @functools.wraps(function)
    def key(*args: Any, **kwargs: Any) -> str:
        return caching.template.of(*first("key", args, kwargs, needed=False), **kwargs)

    async def invalidate(*args: Any, **kwargs: Any) -> None:
        await caching.cache.delete(caching.template.of(*first("invalidate", args, kwargs, needed=False), **kwargs))

    async def refresh(*args: Any, **kwargs: Any) -> Any:
        return await caching.refresh(first("refresh", args, kwargs, needed=True), kwargs)

    cached.key, cached.invalidate, cached.refresh = key, invalidate, refresh
    return cast("CachedFunction[P, R]", cached)


def _check(function: Any) -> None:
    """Refuse what can't be cached."""
    if isinstance(function, classmethod | staticmethod):
        kind = type(function).__name__
        raise OptionError("Cache.cached", "function", kind, f"a function; put @cache.cached below @{kind}")
    if not hasattr(function, "__qualname__"):
        allowed = "a function, whose name others can read; make one around a partial or an object that is called"
        raise OptionError("Cache.cached", "function", type(function).__name__, allowed)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        allowed = "a function that returns its result; a generator is empty when it has been read, so return a list"
        raise OptionError("Cache.cached", "function", function.__qualname__, allowed)


def _check_name(function: Any) -> None:
    """Refuse what can't be told by its name from another function that gives other results."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    harmless = () if code is None else ("__class__", code.co_name)  # of `super()`, and of recursion
    free = [] if code is None else [name for name in code.co_freevars if name not in harmless]
    if free or function.__name__ == "<lambda>":
        why = f"uses {', '.join(free)} of the function around it" if free else "has no name"
        allowed = f"one with what tells its keys from those of its like; {function.__qualname__} {why}"
        raise OptionError("Cache.cached", "template", None, allowed)


def _forwarded(signature: Signature) -> tuple[str, str]:
    """The arguments of a call as source text: a tuple and a dictionary."""
    args: list[str] = []
    kwargs: list[str] = []
    for name, parameter in signature.parameters.items():
        if parameter.kind is Parameter.VAR_POSITIONAL:
            args.append(f"*{name}")
        elif parameter.kind is Parameter.VAR_KEYWORD:
            kwargs.append(f"**{name}")
        elif parameter.kind is Parameter.KEYWORD_ONLY:
            kwargs.append(f"{name!r}: {name}")
        else:
            args.append(name)
    return f"({', '.join(args)}{',' if args else ''})", f"{{{', '.join(kwargs)}}}"


def _unnamed(template: str, signature: Signature) -> list[str]:
    """The parameters that `template` doesn't name: a tag needs only some."""
    named = KeyTemplate(template).parameters.parameters
    return [name for name in signature.parameters if name not in named]
