"""One policy a key: a breaker for each host, a rate limit for each tenant, never more than fit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from seawall.core.options import number
from seawall.resilience.breaker import CircuitBreaker
from seawall.resilience.circuit import CircuitState
from seawall.resilience.policy import Policy

T = TypeVar("T", bound=Policy)


class Registry(Generic[T]):
    """Makes a policy for each key when it is first asked for, and keeps the `max_keys` last used.

        breakers = Registry(lambda host: CircuitBreaker(host))
        await breakers["host-a"].call(fetch, "/")

    A key that leaves and comes back begins anew, so the least recently used one leaves, but a breaker that is
    not closed, or a pipeline with one, stays as long as another can leave in its place. Safe in threads.
    """

    __slots__ = ("_lock", "_make", "_max_keys", "_policies")

    def __init__(self, make: Callable[[str], T], *, max_keys: int = 1000) -> None:
        number("Registry", "max_keys", max_keys, at_least=1, integer=True)
        self._make = make
        self._max_keys = max_keys
        self._policies: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, key: str) -> T:
        with self._lock:
            policy = self._policies.get(key)
            if policy is None:
                policy = self._make(key)
                if len(self._policies) >= self._max_keys:
                    del self._policies[self._leaving()]
                self._policies[key] = policy
            else:
                self._policies.move_to_end(key)
            return policy

    def __contains__(self, key: object) -> bool:
        return key in self._policies

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._policies))

    def __len__(self) -> int:
        return len(self._policies)

    def _leaving(self) -> str:
        for key, policy in self._policies.items():
            breakers = [member for member in policy.policies if isinstance(member, CircuitBreaker)]
            if all(breaker.state is CircuitState.CLOSED for breaker in breakers):
                return key
        return next(iter(self._policies))

    def __repr__(self) -> str:
        return f"Registry({len(self)} of at most {self._max_keys} keys)"
