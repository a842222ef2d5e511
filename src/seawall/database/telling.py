"""Tells of statements to whoever records the trace of the work at hand."""

from __future__ import annotations

from seawall.core import Events, correlation
from seawall.database.events import StatementRan
from seawall.database.sqlstate import state_of
from seawall.database.statements import StatementClass, normalize


def tell(
    events: Events,
    database: str,
    node: str,
    operation: str,
    kind: StatementClass,
    seconds: float,
    *,
    rows: int = -1,
    error: BaseException | None = None,
) -> None:
    """One statement was run in `seconds`, or failed with `error`."""
    if events.listeners and (work := correlation.current.get()) is not None and work.sampled:
        event = StatementRan(
            database=database,
            node=node,
            statement=normalize(operation),
            kind=kind.value,
            seconds=seconds,
            rows=rows,
            error=error,
            sqlstate=None if error is None else state_of(error),
        )
        events.emit(event)
