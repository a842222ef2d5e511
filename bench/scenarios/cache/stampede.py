"""Many callers in several processes ask at once for a key that nobody has; and again with a load that takes long."""

from bench.callers import Outcome
from bench.crowds import contenders, problem, send, server
from bench.model import Column, Head, Row, Table, ordered
from bench.run import Run

_FEW = 100
_COLUMNS = (
    Column("loads", "loads", "count"),
    Column("failed", "callers failed", "count"),
    Column("waiting", "still waiting", "count"),
    Column("seconds", "took", "seconds"),
)


async def run(bench: Run) -> Table:
    """Send everybody at once."""
    plan = bench.plan
    head = Head(
        key="stampede",
        title=f"Stampede, {plan.callers:,} callers × {plan.processes} processes",
        what=f"All ask at once for one cold key whose load takes {plan.load:g} s; loads are counted "
        "in Valkey. One is right. The pool of redis-py, and of what is built on it, has 100 connections and "
        "refuses more.",
    )
    rows = await _rows(bench, plan.callers, plan.load, 20.0, local=True)
    return Table(head=head, columns=_COLUMNS, rows=ordered(rows, "loads"), rank="loads")


async def run_long(bench: Run) -> Table:
    """Send some, with a load that outlasts the leases."""
    plan = bench.plan
    head = Head(
        key="stampede_long",
        title=f"Load of {plan.long_load:g} s, {_FEW} callers × {plan.processes} processes",
        what="The same with a load that takes longer than a lease: Seawall's of 3 s is renewed while the load goes on.",
    )
    rows = await _rows(bench, _FEW, plan.long_load, plan.long_load * 3 + 5.0, local=False)
    return Table(head=head, columns=_COLUMNS, rows=ordered(rows, "loads"), rank="loads")


async def _rows(bench: Run, each: int, load: float, most: float, *, local: bool) -> list[Row]:
    able, rows = contenders(bench, local=local)
    tick = bench.bar(len(able))
    with server() as (url, redis):
        for peer in able:
            outcomes, loads = await send(
                peer, url, redis, processes=bench.plan.processes, each=each, load=load, most=most
            )
            found = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
            if error := problem(outcomes):
                rows.append(Row(name=peer.name, failed=error))
            elif len(found) < len(outcomes):
                rows.append(Row(name=peer.name, failed="a process hung"))
            else:
                shown = {
                    "loads": loads,
                    "failed": sum(outcome.failed for outcome in found),
                    "waiting": sum(outcome.waiting for outcome in found),
                    "seconds": max(outcome.seconds for outcome in found),
                }
                errors = {outcome.error for outcome in found if outcome.error}
                note = "; ".join(filter(None, (peer.note("shared"), *sorted(errors))))
                rows.append(Row(name=peer.name, figures=shown, reference=peer.reference, note=note))
            tick()
    return rows
