"""What a health check says of each server, and of all together."""

from __future__ import annotations

from seawall.core import Health, Status
from seawall.database.cluster import Cluster
from seawall.database.node import Node
from seawall.database.overview import bytes_behind
from seawall.database.routing import Role


def health_of(cluster: Cluster) -> Health:
    """Healthy when all servers answer; degraded without a replica, or with a slow one; unhealthy without a primary.

    `checks` has the health of each server by its name.
    """
    checks = {node.name: _node(cluster, node) for node in cluster.nodes}
    primary = cluster.primary
    ill = "; ".join(f"{name}: {health.message}" for name, health in checks.items() if health.status != Status.HEALTHY)
    if primary is None or not primary.state.usable:
        return Health(status=Status.UNHEALTHY, message=f"no primary; {ill}", checks=checks)
    if ill:
        return Health(status=Status.DEGRADED, message=ill, checks=checks)
    message = f"primary {primary.name}, {len(cluster.standbys)} replicas"
    return Health(status=Status.HEALTHY, message=message, checks=checks)


def _node(cluster: Cluster, node: Node) -> Health:
    state = node.state
    if not state.usable:
        lost = node is cluster.primary
        return Health(status=Status.UNHEALTHY if lost else Status.DEGRADED, message=state.why)
    took = f"{state.latency * 1000:.1f} ms"
    if state.role is Role.PRIMARY:
        return Health(status=Status.HEALTHY, message=f"primary, answers in {took}")
    if state.slow:
        return Health(status=Status.DEGRADED, message=f"too slow for reads: {took}; {_lag(cluster, node)}")
    return Health(status=Status.HEALTHY, message=f"replica, answers in {took}; {_lag(cluster, node)}")


def _lag(cluster: Cluster, node: Node) -> str:
    behind, age = bytes_behind(node, cluster.primary), node.state.age
    if behind is None:
        words = "nobody can tell how far behind"
    else:
        words = f"{behind} bytes{f' and {age:.1f} s' if behind and age is not None else ''} behind"
    return words if node.state.receiving else f"{words}, and no WAL receiver runs there"
