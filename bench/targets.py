"""What Seawall promises to reach: bounds on figures, printed beside them and checked by `--check`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bench.model import Figure, Table

SEAWALL = "seawall"
Measured = Callable[[Table], Figure]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound on one figure of one scenario: `most` it may be, or `least` it must be."""

    scenario: str
    text: str
    measured: Measured
    most: float | None = None
    least: float | None = None

    @property
    def bound(self) -> float:
        """The bound, whichever it is."""
        return self.most if self.most is not None else self.least or 0.0

    def holds(self, figure: float) -> bool:
        """Whether `figure` keeps to the bound."""
        return (self.most is None or figure <= self.most) and (self.least is None or figure >= self.least)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A target beside what was measured; `reached` is `None` when it could not be measured."""

    target: Target
    figure: float | None
    reached: bool | None


def own(key: str, name: str = SEAWALL) -> Measured:
    """Seawall's figure `key`, or that of the contender `name`."""
    return lambda table: table.figure(name, key)


def over(key: str, other: str, name: str = SEAWALL) -> Measured:
    """Seawall's figure `key`, or that of the contender `name`, divided by that of the contender `other`."""

    def quotient(table: Table) -> Figure:
        mine, yardstick = table.figure(name, key), table.figure(other, key)
        return mine / yardstick if isinstance(mine, float) and isinstance(yardstick, float) else None

    return quotient


def above(key: str, other: str) -> Measured:
    """Seawall's figure `key` less that of the contender `other`."""

    def difference(table: Table) -> Figure:
        mine, yardstick = table.figure(SEAWALL, key), table.figure(other, key)
        return mine - yardstick if isinstance(mine, float) and isinstance(yardstick, float) else None

    return difference


def place(table: Table) -> int | None:
    """Return Seawall's place among the libraries of a speed scenario, 1 for the fastest."""
    names = [row.name for row in table.rows if not row.reference and row.figures]
    return names.index(SEAWALL) + 1 if SEAWALL in names else None


def verdicts(targets: Iterable[Target], tables: Mapping[str, Table]) -> list[Verdict]:
    """Hold `tables` against `targets`; in every speed scenario Seawall must also come first."""
    found = [_verdict(target, tables[target.scenario]) for target in targets if target.scenario in tables]
    for table in tables.values():
        if table.speed:
            first = Target(scenario=table.head.key, text="place among the libraries", measured=place, most=1)
            found.append(_verdict(first, table))
    return found


def _verdict(target: Target, table: Table) -> Verdict:
    figure = target.measured(table)
    if not isinstance(figure, int | float):
        return Verdict(target=target, figure=None, reached=None)
    return Verdict(target=target, figure=float(figure), reached=target.holds(float(figure)))
