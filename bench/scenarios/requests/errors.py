"""An endpoint that raises: how soon its callers are told, and what."""

from statistics import median

from bench.model import Column, Head, Row, Table, ordered
from bench.requests_shape import FAILURE
from bench.run import Run
from bench.served import CONNECTIONS, Load, take_turns

_MOST_ROUNDS = 10
_MOST = 500
"""Errors in a turn: some write a whole traceback for each."""
_SECURITY = "x-content-type-options"
_HEAD = Head(
    key="errors",
    title="An endpoint that raises",
    what=f"`/boom/{{id}}` of the same servers under the same load, up to {_MOST} requests a turn by {CONNECTIONS} "
    "connections. Time until the answer is there, and until a connection is there where the last answer's was closed; "
    "medians over the turns, the worst of all. Anew: connections made anew, for each answer. Id, headers: whether the "
    "500 has a request id and the security headers. Told: whether it tells the exception's text.",
)


async def run(bench: Run) -> Table:
    """Load every contender."""
    rounds = min(_MOST_ROUNDS, bench.plan.rounds)
    load = Load(path="/boom/{}", status=500, rounds=[rounds], seconds=bench.plan.burst * 8, most=_MOST)
    all_turns, rows = await take_turns(bench, load)
    for turns in all_turns:
        peer, headers = turns.layer.peer, turns.first.headers
        figures = {
            **{key: median(turns.all(key)) for key in ("rate", "p50", "p99")},
            "worst": max(turns.all("worst")),
            "anew": sum(turns.all("anew")) / sum(turns.all("answers")),
            "id": "x-request-id" in headers,
            "headers": _SECURITY in headers,
            "told": FAILURE in turns.first.body,
        }
        rows.append(Row(name=peer.name, figures=figures, reference=peer.reference, note=peer.note("errors")))
    return Table(
        head=_HEAD,
        columns=(
            Column("rate", "answers/s", "count"),
            Column("p50", "p50", "ms"),
            Column("p99", "p99", "ms"),
            Column("worst", "worst", "ms"),
            Column("anew", "anew", "percent"),
            Column("id", "id", "yes"),
            Column("headers", "headers", "yes"),
            Column("told", "told", "yes"),
        ),
        rows=ordered(rows, "p99"),
        rank="p99",
    )
