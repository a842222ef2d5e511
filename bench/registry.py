"""Finds the peer modules, and what each offers, lacks, or fails at."""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import bench.peers
from bench.measure import describe

BREAKER = "no circuit breaker"
MISSING = {
    "breaker": BREAKER,
    "breaker_time_slow": "no breaker with a time window",
    "breaker_sync": "no synchronous breaker",
    "breaker_counted": "no public counter",
    "retry": "no retry",
    "timeout": "no timeout",
    "bulkhead": "no bulkhead",
    "rate_limit": "no rate limit",
    "pipeline": "fewer than two of the policies",
    "dead_dependency": "neither retry nor breaker",
    "listener": "no listener for the breaker",
}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A contender: its module, or the error that kept the module from loading."""

    name: str
    module: ModuleType | None
    broken: str | None = None

    @property
    def reference(self) -> bool:
        """Whether this is a yardstick of the standard library and not a peer."""
        return bool(getattr(self.module, "REFERENCE", False))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the distributions behind this contender."""
        found = {}
        for distribution in getattr(self.module, "DISTRIBUTIONS", ()):
            try:
                found[distribution] = version(distribution)
            except PackageNotFoundError:
                found[distribution] = "not installed"
        return found

    def offer(self, ability: str) -> Callable[..., Any] | None:
        """Return the function that builds `ability`, or `None`."""
        return getattr(self.module, ability, None)

    def reason(self, ability: str) -> str:
        """Say why `ability` is missing."""
        without: dict[str, str] = getattr(self.module, "WITHOUT", {})
        return without.get(ability, MISSING[ability])

    def note(self, ability: str) -> str | None:
        """Say what the offer of `ability` leaves out, if anything."""
        notes: dict[str, str] = getattr(self.module, "NOTES", {})
        return notes.get(ability)


def load(only: Sequence[str] = ()) -> list[Peer]:
    """Import the peer modules, those named in `only` or all; raise `LookupError` for a name that is none."""
    known = sorted(module.name for module in pkgutil.iter_modules(bench.peers.__path__))
    if unknown := sorted(set(only) - set(known)):
        message = f"no peer named {', '.join(unknown)}; there are {', '.join(known)}"
        raise LookupError(message)
    return [_load(name) for name in known if not only or name in only]


def _load(name: str) -> Peer:
    try:
        module = importlib.import_module(f"bench.peers.{name}")
    except Exception as error:  # noqa: BLE001  a peer that does not import is reported, not hidden
        return Peer(name=name, module=None, broken=describe(error))
    return Peer(name=module.NAME, module=module)
