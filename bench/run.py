"""What a scenario gets: the contenders, the plan, and a bar to show how far it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.plan import Plan
from bench.registry import Peer

Bar = Callable[[int], Callable[[], None]]
"""Given the number of steps, shows a progress bar and returns what advances it by one."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the bench, the same for every scenario."""

    peers: Sequence[Peer]
    plan: Plan
    bar: Bar

    @property
    def by_name(self) -> Mapping[str, Peer]:
        """The contenders by the name they carry in the tables."""
        return {peer.name: peer for peer in self.peers}
