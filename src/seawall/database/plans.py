"""How a statement is run, asked of the server that ran it; no value of anybody's is in the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from seawall.database.node import Node
from seawall.database.sqlite import SqliteFile
from seawall.database.statements import normalize

PLAN_TIMEOUT = 5.0
"""Seconds a plan may take; with ANALYZE the query is run once more for it."""
_CONDITIONS = ("Cond", "Filter", "Key", "Output", "Function Call", "Group", "Merge")


Server: TypeAlias = Node | SqliteFile


async def plan_of(server: Server, statement: str, parameters: Sequence[Any], *, analyze: bool) -> Any:
    """The plan of `statement`; with `analyze` it is run for that. None where the server can't tell.

    PostgreSQL's is what EXPLAIN gives as JSON, SQLite's a list of what it does, in its own words.
    """
    try:
        if isinstance(server, SqliteFile):
            return await server.plan(statement, parameters)
        if analyze:
            with suppress(Exception):  # without, it may do
                return await _postgres(server, "ANALYZE, BUFFERS, ", statement, parameters)
        return await _postgres(server, "", statement, parameters)
    except Exception:  # noqa: BLE001 - a plan is a help; where there is none, the time is told
        return None


async def _postgres(node: Node, options: str, statement: str, parameters: Sequence[Any]) -> Any:
    async with node.lent() as connection:
        await connection.execute(f"BEGIN READ ONLY; SET LOCAL statement_timeout = {PLAN_TIMEOUT * 1000:.0f}")
        [[text]] = await connection.fetch(f"EXPLAIN ({options}FORMAT JSON) {statement}", *parameters)
        return without_values(json.loads(text))


def without_values(plan: Any) -> Any:
    """`plan` with every value in its conditions left out."""
    if isinstance(plan, list):
        return [without_values(item) for item in plan]
    if not isinstance(plan, dict):
        return plan
    return {key: _masked(value) if key.endswith(_CONDITIONS) else without_values(value) for key, value in plan.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return normalize(f"SELECT {value}").removeprefix("SELECT ") if isinstance(value, str) else value
