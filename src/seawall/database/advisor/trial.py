"""What the search for indexes needs: a statement's plan with and without candidates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from seawall.database.advisor.candidates import Candidate
from seawall.database.advisor.report import Measured


@dataclass(frozen=True)
class Plan:
    """What the planner would do: its estimate, and the candidates it would use."""

    cost: float
    used: frozenset[Candidate] = frozenset()


class Trial(Protocol):
    """One statement with candidates that were built, or pretended to be, away from the user's data."""

    candidates: tuple[Candidate, ...]
    """Those that could be built."""
    refused: dict[Candidate, str]
    """Those that could not, and the server's reason."""

    async def plan(self, kept: Collection[Candidate]) -> Plan:
        """The plan when only these candidates exist."""
        ...

    async def run(self, kept: Collection[Candidate]) -> Measured | None:
        """One run when only these candidates exist; None where it can't or must not be run."""
        ...

    def bytes_of(self, candidate: Candidate) -> int:
        """The size of a candidate at the real size of its table."""
        ...


def plan_of(document: Any, names: dict[str, Candidate]) -> Plan:
    """Reads EXPLAIN (FORMAT JSON). names: the candidates by index name."""
    root = document[0]["Plan"]
    used = {names[name] for node in plan_nodes(root) if (name := node.get("Index Name")) in names}
    return Plan(root["Total Cost"], frozenset(used))


def measured_of(document: Any) -> Measured:
    """Reads EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)."""
    root = document[0]["Plan"]
    kinds = ("Shared Hit Blocks", "Shared Read Blocks", "Local Hit Blocks", "Local Read Blocks")
    return Measured(buffers=sum(root.get(kind, 0) for kind in kinds), milliseconds=document[0]["Execution Time"])


def plan_nodes(root: Any) -> list[Any]:
    """A plan's node and all nodes below it."""
    return [root, *(node for child in root.get("Plans", ()) for node in plan_nodes(child))]
