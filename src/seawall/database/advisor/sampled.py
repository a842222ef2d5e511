"""Candidates built on temporary copies that hold a sample of each table.

The copies are temporary tables of this session, so that they vanish with it whatever happens. The user's tables are
read once each, under ACCESS SHARE, and never again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

import asyncpg
import postgast

from seawall.database.advisor import tree
from seawall.database.advisor.candidates import Candidate
from seawall.database.advisor.predicates import Use
from seawall.database.advisor.report import Measured
from seawall.database.advisor.schema import Table
from seawall.database.advisor.trial import Plan, measured_of, plan_of

RUNS = 3
"""A statement is run so often, and the fastest run counts."""

MAX_BYTES = 256 * 1024 * 1024
"""A copy of one table is not larger than this."""


class SampledCopy:
    """Temporary copies of tables. `async with` drops them in the end.

    rows: at most this many of each table. timeout: seconds that one statement may run.
    """

    def __init__(self, connection: Any, *, rows: int = 50_000, timeout: float = 10.0) -> None:
        self._connection = connection
        self._rows = rows
        self._timeout = timeout
        self._copies: dict[str, str] = {}
        self._scale: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        await self._connection.execute(
            f"set jit = off; set max_parallel_workers_per_gather = 0; set lock_timeout = '2s';"
            f" set statement_timeout = {self._timeout * 1000:.0f}"
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # the session's end drops them as well
            for copy in self._copies.values():
                await self._connection.execute(f"drop table if exists {copy}")
            for setting in ("jit", "max_parallel_workers_per_gather", "lock_timeout", "statement_timeout"):
                await self._connection.execute(f"reset {setting}")

    async def add(self, table: Table) -> str:
        """The copy of a table, made when first asked for."""
        if table.qualified not in self._copies:
            copy = f"pg_temp.seawall_copy_{len(self._copies)}"
            await self._connection.execute(f"create temp table {copy} as {self._sample(table)}")
            self._copies[table.qualified] = copy
            try:
                await self._finish(table, copy)
            except BaseException:
                del self._copies[table.qualified]
                await self._connection.execute(f"drop table if exists {copy}")
                raise
        return self._copies[table.qualified]

    def _sample(self, table: Table) -> str:
        limit = self._rows
        if table.rows > 0 and table.bytes > 0:
            limit = max(1000, min(limit, int(MAX_BYTES / (table.bytes / table.rows))))
        if table.rows <= limit:
            return f"select * from {table.qualified} limit {limit}"  # noqa: S608
        percent = min(100.0, 110.0 * limit / table.rows)
        return f"select * from {table.qualified} tablesample system ({percent:.6f}) limit {limit}"  # noqa: S608

    async def _finish(self, table: Table, copy: str) -> None:
        for index in table.indexes:
            if index.valid:
                with suppress(asyncpg.PostgresError):
                    await self._connection.execute(_on(index.definition, copy))
        enough = table.visible >= 0.5  # noqa: PLR2004 - else index-only scans would look better than they are
        await self._connection.execute(f"vacuum (analyze, skip_locked) {copy}" if enough else f"analyze {copy}")
        rows = await self._connection.fetchval(f"select count(*) from {copy}")  # noqa: S608
        self._scale[table.qualified] = max(table.rows, 1) / max(rows, 1)

    def scale_of(self, table: Table) -> float:
        """How many rows of the table one row of its copy stands for."""
        return self._scale.get(table.qualified, 1.0)

    def point(self, statement: Any, uses: Iterable[Use]) -> None:
        """Let a parse tree name the copies, in place."""
        for use in uses:
            use.range.alias.aliasname = use.alias
            use.range.schemaname, use.range.relname = self._copies[use.table.qualified].split(".")
        for column in tree.nodes(statement, "ColumnRef"):
            if len(column.fields) > 2:  # noqa: PLR2004 - schema.table.column
                del column.fields[:-2]

    @asynccontextmanager
    async def trial(self, sql: str, candidates: Iterable[Candidate], *, runs: bool) -> AsyncIterator[_SampledTrial]:
        """Build the candidates for a statement on the copies; they are gone afterwards."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            trial = _SampledTrial(self, self._connection, sql, runs=runs)
            await trial.build(candidates, self._copies)
            yield trial
        finally:
            with suppress(asyncpg.InterfaceError):
                await transaction.rollback()


class _SampledTrial:
    def __init__(self, copy: SampledCopy, connection: Any, sql: str, *, runs: bool) -> None:
        self._copy = copy
        self._connection = connection
        self._sql = sql
        self._runs = runs
        self._names: dict[str, Candidate] = {}
        self._bytes: dict[Candidate, int] = {}
        self.candidates: tuple[Candidate, ...] = ()
        self.refused: dict[Candidate, str] = {}

    async def build(self, candidates: Iterable[Candidate], copies: dict[str, str]) -> None:
        analyse = set()
        for number, candidate in enumerate(candidates):
            name, table = f"seawall_candidate_{number}", copies[candidate.table.qualified]
            try:
                async with self._connection.transaction():
                    if "gin_trgm_ops" in {key.operators for key in candidate.keys}:
                        await self._connection.execute("create extension if not exists pg_trgm")
                    await self._connection.execute(candidate.definition(table, name))
            except asyncpg.PostgresError as error:
                self.refused[candidate] = str(error.args[0] if error.args else error)
                continue
            self._names[name] = candidate
            size = await self._connection.fetchval("select pg_relation_size(('pg_temp.' || $1)::regclass)", name)
            self._bytes[candidate] = int(size * self._copy.scale_of(candidate.table))
            if any(key.expression for key in candidate.keys):
                analyse.add(table)
        for table in sorted(analyse):  # an expression's statistics come with its index
            await self._connection.execute(f"analyze {table}")
        self.candidates = tuple(self._names.values())

    def bytes_of(self, candidate: Candidate) -> int:
        return self._bytes[candidate]

    async def plan(self, kept: Collection[Candidate]) -> Plan:
        return plan_of(await self._explain(kept, "explain (format json)"), self._names)

    async def run(self, kept: Collection[Candidate]) -> Measured | None:
        if not self._runs:
            return None
        how = "explain (analyze, buffers, timing off, format json)"
        try:
            return min([measured_of(await self._explain(kept, how)) for _ in range(RUNS)], key=_time)
        except asyncpg.QueryCanceledError:
            return Measured(buffers=10**9, milliseconds=1e9)
        except asyncpg.PostgresError:
            return None

    async def _explain(self, kept: Collection[Candidate], how: str) -> Any:
        point = self._connection.transaction()
        await point.start()
        try:
            gone = [f"pg_temp.{name}" for name, candidate in self._names.items() if candidate not in kept]
            if gone:
                await self._connection.execute(f"drop index {', '.join(gone)}")
            await self._connection.execute("set local transaction_read_only = on")
            return json.loads(await self._connection.fetchval(f"{how} {self._sql}"))
        finally:
            await point.rollback()


def _time(run: Measured) -> float:
    return run.milliseconds


def _on(definition: str, copy: str) -> str:
    """An existing index's definition on a copy."""
    parsed = postgast.parse(definition)
    index = parsed.stmts[0].stmt.index_stmt
    index.idxname = ""
    index.relation.schemaname, index.relation.relname = copy.split(".")
    index.relation.relpersistence = "t"
    index.relation.inh = True
    index.table_space = ""
    index.unique = False
    return str(postgast.deparse(parsed))
