"""What Seawall promises to reach: one table, printed beside the figures and checked by `--check`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.model import Figure, Table
from bench.shape import LIMIT
from bench.speed import BARE

SEAWALL = "seawall"
_ASYNCIO_TIMEOUT = "asyncio.timeout"
Measured = Callable[[Table], Figure]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound on one figure of one scenario."""

    scenario: str
    text: str
    measured: Measured
    most: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A target beside what was measured; `reached` is `None` when it could not be measured."""

    target: Target
    figure: float | None
    reached: bool | None


def _own(key: str) -> Measured:
    return lambda table: table.figure(SEAWALL, key)


def _over(key: str, other: str) -> Measured:
    def quotient(table: Table) -> Figure:
        mine, yardstick = table.figure(SEAWALL, key), table.figure(other, key)
        return mine / yardstick if isinstance(mine, float) and isinstance(yardstick, float) else None

    return quotient


def _inexact(table: Table) -> Figure:
    exact = table.figure(SEAWALL, "exact")
    return None if exact is None else not exact


def place(table: Table) -> int | None:
    """Return Seawall's place among the libraries of a speed scenario, 1 for the fastest."""
    rows = [row for row in table.rows if not row.reference and row.figures and row.name != BARE]
    names = [row.name for row in rows]
    return names.index(SEAWALL) + 1 if SEAWALL in names else None


TARGETS = (
    Target(scenario="breaker_count", text="× bare at most", measured=_own("ratio"), most=3.5),
    Target(scenario="breaker_time_slow", text="× bare at most", measured=_own("ratio"), most=5.0),
    Target(scenario="timeout", text="of asyncio.timeout at most", measured=_over("ratio", _ASYNCIO_TIMEOUT), most=0.2),
    Target(scenario="pipeline", text="× bare at most", measured=_own("ratio"), most=12.0),
    Target(scenario="pipeline", text="of asyncio.timeout at most", measured=_over("ratio", _ASYNCIO_TIMEOUT), most=0.3),
    Target(scenario="breaker_sync", text="ns above a bare call at most", measured=_own("above"), most=300.0),
    Target(scenario="breaker_sync", text="inexact counters under threads", measured=_inexact, most=0),
    Target(scenario="rejection", text="ns at most", measured=_own("ns"), most=1_500.0),
    Target(scenario="rejection", text="bytes kept per refusal", measured=_own("growth"), most=0.05),
    Target(scenario="listener", text="more for a success with a listener", measured=_own("success_more"), most=0.4),
    Target(scenario="listener", text="more for a refusal with a listener", measured=_own("refusal_more"), most=0.4),
    Target(scenario="half_open", text="trial calls at most", measured=_own("through"), most=1),
    Target(scenario="half_open", text="breakers wedged", measured=_own("wedged"), most=0),
    Target(scenario="dead_dependency", text="calls per caller at most", measured=_own("load"), most=1.2),
    Target(scenario="dead_dependency", text="peak concurrency at most", measured=_own("peak"), most=LIMIT),
    Target(scenario="dead_dependency", text="in the first wave at most", measured=_own("first_wave"), most=LIMIT),
)


def verdicts(tables: Mapping[str, Table]) -> list[Verdict]:
    """Hold `tables` against the targets; in every speed scenario Seawall must also come first."""
    found = [_verdict(target, tables[target.scenario]) for target in TARGETS if target.scenario in tables]
    for table in tables.values():
        if table.speed:
            first = Target(scenario=table.head.key, text="place among the libraries", measured=place, most=1)
            found.append(_verdict(first, table))
    return found


def _verdict(target: Target, table: Table) -> Verdict:
    figure = target.measured(table)
    if not isinstance(figure, int | float):
        return Verdict(target=target, figure=None, reached=None)
    return Verdict(target=target, figure=float(figure), reached=figure <= target.most)
