"""Methods seen from outside: `service.podcasts.key(7)` and `Service.podcasts.key(service, 7)` are asked the same.

Python binds the instance where a method is called, not where an attribute of it is: `service.podcasts.key` does not
know `service`.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from inspect import Signature
from typing import Any

_INSTANCES = ("self", "cls")


class Receiver:
    """The instance, or the class, that a function expects first: nothing for a function that is no method."""

    __slots__ = ("_function", "_ignored", "_name", "_owner")

    def __init__(self, function: Callable[..., Any], signature: Signature, ignore: Set[str]) -> None:
        self._name = next(iter(signature.parameters), "")
        self._function = function.__qualname__
        owner = self._function.rpartition(".")[0]
        is_method = self._name in _INSTANCES and owner and not owner.endswith("<locals>")
        self._owner = (function.__module__, owner) if is_method else None
        self._ignored = self._name in ignore

    def first(self, asked: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, needed: bool) -> tuple[Any, ...]:
        """`args` of a call of `asked`, with the receiver first.

        needed: also where no key depends on it. Raises `TypeError` where it is needed and was not given.
        """
        if self._owner is None or self._name in kwargs or (args and self._is_receiver(args[0])):
            return args
        if self._ignored and not needed:
            return (None, *args)
        call = f"{self._function}.{asked}"
        message = f"{call}() is not told which {self._name} is meant; give it first: {call}({self._name}, ...)"
        raise TypeError(message)

    def _is_receiver(self, given: Any) -> bool:
        kind = given if isinstance(given, type) else type(given)
        return any((base.__module__, base.__qualname__) == self._owner for base in kind.__mro__)
