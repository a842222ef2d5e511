"""A check: a function that tells the health of one thing, and how far to trust it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from typing import Protocol

from seawall.core import Health, OptionError
from seawall.core.options import number

CheckFunction = Callable[[], Awaitable[Health | None] | Health | None]


class PartLike(Protocol):
    """What is asked of a part: every `seawall.core.Part` is one."""

    @property
    def name(self) -> str:
        """Unique in a service."""
        ...

    async def check(self) -> Health:
        """The part's health now."""
        ...


@dataclass(frozen=True)
class Check:
    """Asks `function` for the health of what is called `name`.

    function: `async def` or `def`, the latter is run in a thread of its own. It returns `Health`, or None for healthy.
    What it raises makes it unhealthy, and of that only the type is told: the text may hold a secret.
    critical: whether the service can't work without it. If not, the whole is degraded at worst.
    timeout: seconds after which no answer is unhealthy; also the deadline of what an `async def` does.
    ttl: seconds for which an answer is given to all who ask, before the function is called again.
    """

    name: str
    function: CheckFunction
    _: KW_ONLY
    critical: bool = True
    timeout: float = 2.0
    ttl: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise OptionError("Check", "name", self.name, "a string that is not blank")
        if not callable(self.function):
            raise OptionError("Check", "function", self.function, "a function without arguments")
        if not isinstance(self.critical, bool):
            raise OptionError("Check", "critical", self.critical, "True or False")
        number("Check", "timeout", self.timeout, above=0)
        number("Check", "ttl", self.ttl, at_least=0)

    @classmethod
    def of(cls, part: PartLike, *, critical: bool = True, timeout: float = 2.0, ttl: float = 1.0) -> Check:
        """The check that a part brings, under the part's name."""
        return cls(part.name, part.check, critical=critical, timeout=timeout, ttl=ttl)
