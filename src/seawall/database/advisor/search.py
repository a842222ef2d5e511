"""The smallest set of candidates that serves a statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from seawall.database.advisor.candidates import Candidate
from seawall.database.advisor.report import Measured
from seawall.database.advisor.trial import Plan, Trial

COST_FACTOR = 0.7
"""An index has to bring the planner's estimate down to this part."""

RUN_FACTOR, TIME_FACTOR = 0.4, 0.25
"""Where the statement was run, buffers or, since time is uncertain, clearly time have to come down to these parts."""

SLOWEST_FACTOR = 0.7
"""Fewer buffers are no gain unless time comes down to this part as well."""

MIN_BUFFERS, EMPTY_FACTOR = 32, 0.1
"""A run with fewer buffers found nothing in the sample; the estimate has to come down to this part then."""

MIN_MILLISECONDS = 2.0
"""Shorter runs say nothing about time."""

WIDENING_FACTOR = 0.33
"""An index whose first key an existing one has must bring the estimate down to this part."""

SIMILAR, SIMILAR_OF_ALL = 1.2, 0.005
"""A plan is as good as another if it costs at most so much more: times the other, plus this part of the first plan."""

PARTIAL_PENALTY, PARTIAL_VALUE_PENALTY = 3, 20
"""A partial index serves fewer statements, so it has to be that much smaller than one for all rows: one for a flag or
for NULL, and one for a value, which may be another tomorrow."""

MAX_INDEXES = 4
"""Indexes for one statement."""


@dataclass(frozen=True)
class Choice:
    """The chosen candidates, the estimates without and with them, and one run each."""

    kept: tuple[Candidate, ...]
    before: float
    after: float
    run_before: Measured | None = None
    run_after: Measured | None = None


async def choose(trial: Trial, adopted: frozenset[Candidate] = frozenset()) -> Choice | None:
    """The candidates worth making for the trial's statement; None where none is.

    adopted: those of them that other statements need, so that they are there anyway.
    """
    base = await trial.plan(())
    everything = await trial.plan(trial.candidates)
    if everything.cost > COST_FACTOR * base.cost:
        return None
    kept, cost = await _forward(trial, base, adopted)
    reduced, reduced_cost = await _backward(trial, everything, base)
    if reduced_cost < COST_FACTOR * cost:
        kept, cost = reduced, reduced_cost
    kept, cost = await _simplified(trial, kept, cost, base, adopted)
    kept = (await trial.plan(kept)).used
    if not kept or cost > _factor(kept) * base.cost:
        return None
    before, after = await trial.run(()), await trial.run(kept)
    choice = Choice(tuple(sorted(kept, key=str)), base.cost, cost, before, after)
    return choice if _confirmed(choice) else None


async def _forward(trial: Trial, base: Plan, adopted: frozenset[Candidate]) -> tuple[frozenset[Candidate], float]:
    """Add what helps most to the adopted, one by one."""
    kept = adopted
    cost = (await trial.plan(kept)).cost
    while len(kept - adopted) < MAX_INDEXES:
        plans = {made: await trial.plan(kept | {made}) for made in trial.candidates if made not in kept}
        costs = {made: plan.cost for made, plan in plans.items() if made in plan.used}
        if not costs or min(costs.values()) > COST_FACTOR * cost:
            break
        best = _simplest(trial, costs, base.cost)
        kept, cost = kept | {best}, costs[best]
    return kept, cost


async def _backward(trial: Trial, everything: Plan, base: Plan) -> tuple[frozenset[Candidate], float]:
    """Drop from what the planner would use what it can spare; finds sets that help only together."""
    kept, cost = everything.used, everything.cost
    bound = _similar(everything.cost, base.cost)
    for made in sorted(kept, key=lambda made: _weight(trial, made), reverse=True):
        without = await trial.plan(kept - {made})
        if without.cost <= bound:
            kept, cost = kept - {made}, without.cost
    return kept, cost


async def _simplified(
    trial: Trial, kept: frozenset[Candidate], cost: float, base: Plan, adopted: frozenset[Candidate]
) -> tuple[frozenset[Candidate], float]:
    """Put a lighter index that begins with the same key in the place of each, where that costs little."""
    bound = _similar(cost, base.cost)
    for made in sorted(kept - adopted, key=lambda made: -_weight(trial, made)):
        lighter = [
            other
            for other in trial.candidates
            if other.table is made.table
            and other.keys[0] == made.keys[0]
            and _weight(trial, other) < _weight(trial, made)
        ]
        for other in sorted(lighter, key=lambda other: _weight(trial, other)):
            changed = (kept - {made}) | {other}
            plan = await trial.plan(changed)
            if plan.cost <= bound and other in plan.used:
                kept, cost = changed, plan.cost
                break
    return kept, cost


def _simplest(trial: Trial, costs: dict[Candidate, float], base: float) -> Candidate:
    bound = _similar(min(costs.values()), base)
    good = [made for made, cost in costs.items() if cost <= bound]
    return min(good, key=lambda made: (_weight(trial, made), made.simplicity))


def _similar(cost: float, base: float) -> float:
    return SIMILAR * cost + SIMILAR_OF_ALL * base


def _weight(trial: Trial, made: Candidate) -> float:
    penalty = PARTIAL_VALUE_PENALTY if "=" in made.where or " IN " in made.where else PARTIAL_PENALTY
    return trial.bytes_of(made) * (penalty if made.where else 1)


def _factor(kept: Collection[Candidate]) -> float:
    return WIDENING_FACTOR if all(_widens(made) for made in kept) else COST_FACTOR


def _widens(made: Candidate) -> bool:
    return any(
        index.valid and index.method == made.method and not index.predicate and index.keys[:1] == (str(made.keys[0]),)
        for index in made.table.indexes
    )


def _confirmed(choice: Choice) -> bool:
    """Whether the runs bear out the estimates. A run that read next to nothing says nothing: the rows that the
    statement looks for are not in the sample, so a much lower estimate has to do."""
    before, after = choice.run_before, choice.run_after
    if before is None or after is None or _gains(before, after):
        return True
    empty = before.unit == "buffers" and before.buffers < MIN_BUFFERS
    return empty and choice.after <= EMPTY_FACTOR * choice.before


def _gains(before: Measured, after: Measured) -> bool:
    fewer = after.buffers <= RUN_FACTOR * before.buffers
    if before.milliseconds < MIN_MILLISECONDS:
        return fewer
    faster = after.milliseconds <= TIME_FACTOR * before.milliseconds
    return faster or (fewer and after.milliseconds <= SLOWEST_FACTOR * before.milliseconds)
