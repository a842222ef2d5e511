"""Finds the peer modules of a suite, and what each offers, lacks, or fails at."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from bench.measure import describe


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A contender: its module, or the error that kept the module from loading.

    `missing` says for each ability what a library lacks that does not offer it.
    """

    name: str
    module: ModuleType | None
    missing: Mapping[str, str]
    broken: str | None = None

    @property
    def reference(self) -> bool:
        """Whether this is a yardstick of the standard library and not a peer."""
        return bool(getattr(self.module, "REFERENCE", False))

    @property
    def path(self) -> str:
        """The module's name, to be found by another process."""
        return self.module.__name__ if self.module else ""

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
        return without.get(ability, self.missing[ability])

    def note(self, ability: str) -> str | None:
        """Say what the offer of `ability` leaves out, if anything."""
        notes: dict[str, str] = getattr(self.module, "NOTES", {})
        return notes.get(ability)


def load(package: ModuleType, missing: Mapping[str, str], only: Sequence[str] = ()) -> list[Peer]:
    """Import the peer modules of `package`, those in `only` or all; raise `LookupError` for a name that is none."""
    known = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    if unknown := sorted(set(only) - set(known)):
        message = f"no peer named {', '.join(unknown)}; there are {', '.join(known)}"
        raise LookupError(message)
    return [_load(f"{package.__name__}.{name}", missing) for name in known if not only or name in only]


def find(path: str) -> Any:
    """The peer module at `path`."""
    return importlib.import_module(path)


def _load(path: str, missing: Mapping[str, str]) -> Peer:
    try:
        module = find(path)
    except Exception as error:  # noqa: BLE001  a peer that does not import is reported, not hidden
        return Peer(name=path.rpartition(".")[2], module=None, missing=missing, broken=describe(error))
    return Peer(name=module.NAME, module=module, missing=missing)
