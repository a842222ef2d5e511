"""The search for the smallest set, against a planner made of a table of costs."""

import asyncio
from collections.abc import Collection

from seawall.database.advisor.candidates import Candidate, Key
from seawall.database.advisor.report import Measured
from seawall.database.advisor.schema import Column, ExistingIndex, Table
from seawall.database.advisor.search import choose
from seawall.database.advisor.trial import Plan


def table(*indexes: ExistingIndex) -> Table:
    columns = {"a": Column(name="a", type="int"), "b": Column(name="b", type="int")}
    return Table(schema="public", name="t", columns=columns, rows=1e6, pages=10_000, indexes=indexes)


T = table()
A, B, AB = (Candidate(T, tuple(map(Key, keys))) for keys in ("a", "b", "ab"))


class Planner:
    """Knows the cost of each set; the best known set within what is kept is used."""

    def __init__(self, costs: dict[tuple[Candidate, ...], float], *, runs: dict[bool, int] | None = None) -> None:
        self._costs = {frozenset(): 1000.0, **{frozenset(kept): cost for kept, cost in costs.items()}}
        self._runs = runs
        self.candidates = tuple(sorted({made for kept in self._costs for made in kept}, key=str))
        self.refused: dict[Candidate, str] = {}

    async def plan(self, kept: Collection[Candidate]) -> Plan:
        usable = [known for known in self._costs if known <= set(kept)]
        best = min(usable, key=lambda known: (self._costs[known], len(known)))
        return Plan(self._costs[best], best)

    async def run(self, kept: Collection[Candidate]) -> Measured | None:
        return None if self._runs is None else Measured(buffers=self._runs[bool(kept)], milliseconds=1.0)

    def bytes_of(self, candidate: Candidate) -> int:
        return len(candidate.keys) * 1000


def kept(planner: Planner, adopted: frozenset[Candidate] = frozenset()) -> set[Candidate] | None:
    choice = asyncio.run(choose(planner, adopted))
    return None if choice is None else set(choice.kept)


def test_what_helps_is_chosen():
    assert kept(Planner({(A,): 10.0, (B,): 900.0})) == {A}


def test_what_hardly_helps_is_not():
    assert kept(Planner({(A,): 800.0})) is None


def test_the_simpler_of_two_equals_is_chosen():
    assert kept(Planner({(A,): 10.0, (AB,): 9.0})) == {A}


def test_the_wider_is_chosen_where_it_is_much_better():
    assert kept(Planner({(A,): 400.0, (AB,): 9.0})) == {AB}


def test_a_pair_that_helps_only_together_is_found():
    assert kept(Planner({(A,): 990.0, (B,): 990.0, (A, B): 5.0})) == {A, B}


def test_nothing_is_chosen_that_a_run_did_not_confirm():
    assert kept(Planner({(A,): 10.0}, runs={False: 100, True: 90})) is None
    assert kept(Planner({(A,): 10.0}, runs={False: 100, True: 3})) == {A}


def test_an_index_that_is_there_anyway_is_used():
    assert kept(Planner({(A,): 10.0, (AB,): 9.0}), adopted=frozenset({AB})) == {AB}


def test_widening_an_existing_index_needs_a_greater_gain():
    wide = Candidate(table(ExistingIndex(name="i", definition="", keys=("a",))), (Key("a"), Key("b")))
    assert kept(Planner({(wide,): 500.0})) is None
    assert kept(Planner({(wide,): 100.0})) == {wide}


def test_a_run_that_found_nothing_in_the_sample_leaves_it_to_the_estimate():
    assert kept(Planner({(A,): 10.0}, runs={False: 3, True: 3})) == {A}
    assert kept(Planner({(A,): 500.0}, runs={False: 3, True: 3})) is None
