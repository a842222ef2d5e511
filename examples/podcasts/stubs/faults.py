"""What can go wrong with a provider: the fault as asked for, and the fault at work."""

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, TypeAlias

Kind: TypeAlias = Literal["slow", "rate_limited", "error", "hang", "reset", "refused"]

OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "slow": frozenset({"seconds", "rate", "count"}),
    "rate_limited": frozenset({"seconds", "rate", "count"}),
    "error": frozenset({"status", "rate", "count"}),
    "hang": frozenset({"rate", "count"}),
    "reset": frozenset({"rate", "count"}),
    "refused": frozenset(),
}
"""Every kind of fault and the options it takes. `refused` takes none: the kernel refuses all connections or none."""

STATUSES: Final = range(400, 600)
"""The statuses that `error` can answer."""


class FaultError(ValueError):
    """A fault that cannot exist. `given` and `allowed` say what was asked for and what could have been."""

    def __init__(self, message: str, *, given: object, allowed: object) -> None:
        """Keep the two sides as data beside the sentence."""
        super().__init__(message)
        self.given = given
        self.allowed = allowed


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault as asked for.

    - `kind`: `slow` delays the answer; `rate_limited` answers 429; `error` answers `status`; `hang` never answers
      until the fault is cleared; `reset` ends the connection with a TCP reset once the request is read; `refused`
      stops listening.
    - `seconds`: the delay of `slow`, or the Retry-After of `rate_limited`.
    - `status`: the HTTP status of `error`, 400 to 599.
    - `rate`: share of requests struck, 0 to 1.
    - `count`: how many requests are struck at most; `None` for no limit.

    Raises `FaultError` for a value outside these bounds.
    """

    kind: Kind
    seconds: float = 1.0
    status: int = 500
    rate: float = 1.0
    count: int | None = None

    def __post_init__(self) -> None:
        """Refuse a value that no fault can have."""
        if self.kind not in OPTIONS:
            _refuse("kind", self.kind, list(OPTIONS))
        if not (_is_number(self.seconds) and math.isfinite(self.seconds) and self.seconds >= 0):
            _refuse("seconds", self.seconds, "a number of seconds, 0 or more")
        if not (_is_integer(self.status) and self.status in STATUSES):
            _refuse("status", self.status, "an integer from 400 to 599")
        if not (_is_number(self.rate) and 0 <= self.rate <= 1):
            _refuse("rate", self.rate, "a number from 0 to 1")
        if self.count is not None and not (_is_integer(self.count) and self.count >= 1):
            _refuse("count", self.count, "an integer from 1, or null")

    @classmethod
    def parse(cls, given: object) -> "Fault":
        """Read a fault from JSON such as `{"kind": "slow", "seconds": 1.5}`; `FaultError` names what is wrong."""
        if not isinstance(given, dict):
            _refuse("fault", given, "a JSON object with a 'kind'")
        kind = given.get("kind")
        if not isinstance(kind, str) or kind not in OPTIONS:
            _refuse("kind", kind, list(OPTIONS))
        unknown = sorted(given.keys() - OPTIONS[kind] - {"kind"})
        if unknown:
            message = f"fault '{kind}' does not take {unknown}"
            raise FaultError(message, given=unknown, allowed=sorted(OPTIONS[kind]))
        return cls(**given)

    def as_json(self) -> dict[str, Any]:
        """Return the kind and the options that this kind takes."""
        return {"kind": self.kind, **{option: getattr(self, option) for option in sorted(OPTIONS[self.kind])}}


class ActiveFault:
    """A fault at work on one provider: decides which requests it strikes, and holds those it hangs.

    Whether a request is struck depends only on the seed and on how many requests came since the fault was set.
    """

    def __init__(self, fault: Fault, *, seed: str) -> None:
        """Start with the whole count and a generator of its own."""
        self.fault = fault
        self.remaining = fault.count
        self._random = random.Random(seed)
        self._cleared = asyncio.Event()

    def strikes(self) -> bool:
        """Return whether the next request is struck, and count it if so."""
        if self.remaining == 0 or self._random.random() >= self.fault.rate:
            return False
        if self.remaining is not None:
            self.remaining -= 1
        return True

    def clear(self) -> None:
        """Let the requests go that hang in this fault."""
        self._cleared.set()

    async def cleared(self) -> None:
        """Return once the fault is cleared."""
        await self._cleared.wait()

    def as_json(self) -> dict[str, Any]:
        """Return the fault, with `remaining` beside `count`."""
        shown = self.fault.as_json()
        return shown | {"remaining": self.remaining} if "count" in shown else shown


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(name: str, given: object, allowed: object) -> NoReturn:
    message = f"{name} is {given!r}; allowed: {allowed}"
    raise FaultError(message, given=given, allowed=allowed)
