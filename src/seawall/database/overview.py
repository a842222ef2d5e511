"""What the servers are and do, for whoever looks: the admin API, a health check, a console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from seawall.database.cluster import Cluster
from seawall.database.node import Node
from seawall.database.routing import Role


@dataclass(frozen=True, kw_only=True)
class NodeOverview:
    """One server as it is now.

    behind: bytes of the log that it has not replayed yet, give or take a probe; None where that can't be told.
    age: seconds since the commit that a standby replayed last. receiving: whether its WAL receiver runs.
    latency: seconds its probe takes. in_use: connections that are. statements: how many it has run for this process.
    role: primary, standby or unknown. why: what is wrong with it, where it is not usable.
    """

    name: str
    role: str
    usable: bool
    slow: bool
    why: str
    behind: int | None
    age: float | None
    receiving: bool
    latency: float
    in_use: int
    statements: int

    def as_dict(self) -> dict[str, Any]:
        """Its figures by name, as JSON has them."""
        return asdict(self)


def overview(cluster: Cluster, statements: Mapping[str, int]) -> list[NodeOverview]:
    """The servers in the order of the configuration."""
    return [
        NodeOverview(
            name=node.name,
            role=_role(node, cluster.primary),
            usable=node.state.usable,
            slow=node.state.slow,
            why=node.state.why,
            behind=bytes_behind(node, cluster.primary),
            age=node.state.age,
            receiving=node.state.receiving,
            latency=node.state.latency,
            in_use=node.in_use,
            statements=statements.get(node.name, 0),
        )
        for node in cluster.nodes
    ]


def _role(node: Node, primary: Node | None) -> str:
    """What it is; a server that is away may have taken itself for the primary last."""
    if node is primary:
        return Role.PRIMARY
    return Role.UNKNOWN if node.state.role is Role.PRIMARY else node.state.role


def bytes_behind(node: Node, primary: Node | None) -> int | None:
    """What `node` lacked at its last probe of what `primary` had at its own; None where that can't be told."""
    if node is primary:
        return 0
    ahead = None if primary is None else primary.state.position
    position = node.state.position
    if ahead is None or position is None or ahead.timeline != position.timeline:
        return None
    return max(0, ahead.lsn - position.lsn)
