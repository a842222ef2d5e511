"""The indexes chosen so far, shared by the statements that use them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from seawall.database.advisor.candidates import Candidate
from seawall.database.advisor.report import Gain, IndexAdvice
from seawall.database.advisor.schema import quoted

MAX_NAME = 63


@dataclass
class _Chosen:
    bytes: int
    gains: list[Gain] = field(default_factory=list)


class Adopted:
    """Collects the choices of all statements."""

    def __init__(self) -> None:
        self._chosen: dict[Candidate, _Chosen] = {}

    def add(self, candidate: Candidate, gain: Gain, size: int) -> None:
        """Note that a statement uses a candidate."""
        self._chosen.setdefault(candidate, _Chosen(size)).gains.append(gain)

    def of(self, tables: Collection[str]) -> frozenset[Candidate]:
        """Those on some tables."""
        return frozenset(made for made in self._chosen if made.table.qualified in tables)

    def serves(self, table: str, columns: Collection[str]) -> bool:
        """Whether one of them begins with these columns."""
        return any(
            made.table.shown == table
            and {key.sql for key in made.keys[: len(columns)]} == set(columns)
            and not made.where
            for made in self._chosen
        )

    def advice(self, checked_by: str) -> tuple[IndexAdvice, ...]:
        """The advice, what saves most first; an index that another one contains is left out."""
        for made in list(self._chosen):
            wider = next((other for other in self._chosen if other != made and _contains(other, made)), None)
            if wider is not None:
                self._chosen[wider].gains += self._chosen.pop(made).gains
        taken: set[str] = set()
        advice = [_advice(made, chosen, checked_by, taken) for made, chosen in self._chosen.items()]
        return tuple(sorted(advice, key=lambda one: -sum(_saved(gain) for gain in one.gains)))


def _contains(wider: Candidate, made: Candidate) -> bool:
    return wider.table.qualified == made.table.qualified and made.served_by(
        tuple(map(str, wider.keys)), wider.include, wider.where, wider.method
    )


def _saved(gain: Gain) -> float:
    return (gain.cost_before - gain.cost_after) * max(gain.calls, 1)


def _advice(made: Candidate, chosen: _Chosen, checked_by: str, taken: set[str]) -> IndexAdvice:
    rows = max(made.table.rows, 1)
    return IndexAdvice(
        table=made.table.shown,
        ddl=_ddl(made, taken),
        reason=_reason(made),
        gains=tuple(sorted(chosen.gains, key=lambda gain: -gain.seconds)),
        bytes=chosen.bytes,
        bytes_per_row=round(chosen.bytes / rows, 1),
        writes_per_second=made.table.writes_per_second,
        checked_by=checked_by,
    )


def _reason(made: Candidate) -> str:
    parts = []
    if made.method == "gin":
        parts.append("finds rows by what their values contain")
    elif len(made.keys) > 1:
        parts.append("its first keys find the rows, its last narrows or sorts them")
    else:
        parts.append("finds or sorts the rows by its key")
    if made.where:
        parts.append("holds only the rows of its condition")
    if made.include:
        parts.append("carries the columns read, so that the table is not visited")
    return "; ".join(parts)


def _ddl(made: Candidate, taken: set[str]) -> str:
    taken |= {index.name for index in made.table.indexes}
    name = index_name(made)
    number = 1
    while name in taken:
        number += 1
        name = f"{index_name(made)[: MAX_NAME - 3]}{number}"
    taken.add(name)
    extension = any(key.operators == "gin_trgm_ops" for key in made.keys)
    before = "CREATE EXTENSION IF NOT EXISTS pg_trgm; " if extension else ""
    if made.table.schema == "main":
        return f"{made.definition(quoted(made.table.name), name)};"
    return f"{before}{made.definition(name=name, concurrently=True)};"


def index_name(made: Candidate) -> str:
    """A name in PostgreSQL's own style: `orders_status_created_at_idx`."""
    words = [made.table.name, *(key.sql for key in made.keys)]
    name = re.sub(r"\W+", "_", "_".join(words).lower()).strip("_")
    suffix = ("_gin" if made.method == "gin" else "") + ("_partial_idx" if made.where else "_idx")
    return name[: MAX_NAME - len(suffix)].rstrip("_") + suffix
