"""The analysis of a PostgreSQL database."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import asyncpg
import postgast

from seawall.database.advisor import tree
from seawall.database.advisor.candidates import Candidate, candidates
from seawall.database.advisor.catalogue import read_schema
from seawall.database.advisor.hypothetical import Hypothetical
from seawall.database.advisor.merge import Adopted
from seawall.database.advisor.parameters import fill_in
from seawall.database.advisor.predicates import Use
from seawall.database.advisor.reader import Reader
from seawall.database.advisor.report import Gain, Report, RewriteAdvice, Severity, Skipped, Statement
from seawall.database.advisor.rewrites import Rewrites
from seawall.database.advisor.sampled import SampledCopy
from seawall.database.advisor.schema import Schema
from seawall.database.advisor.search import COST_FACTOR, Choice, choose
from seawall.database.advisor.trial import Plan, plan_of
from seawall.database.advisor.usage import index_problems
from seawall.database.advisor.views import expand_views

MIN_ROWS, MIN_PAGES = 10_000, 250
"""A table with fewer rows and fewer pages than this is read faster than any index pays for."""

MIN_COST = 100.0
"""A statement that the planner expects to cost less is fast as it is."""

MAX_CANDIDATES = 60
"""Candidates for one statement."""

NO_TABLE = "names no table of this database"

KINDS = {"select_stmt", "insert_stmt", "update_stmt", "delete_stmt"}

Progress = Callable[[int, int, str], None]
"""Told the number of statements done, the number of all, and the one that begins."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of an analysis. sample_rows: of each copied table. timeout: seconds for one statement on a copy."""

    sample_rows: int = 50_000
    timeout: float = 10.0


class PostgresAnalysis:
    """One run over a workload, on one connection that nothing else uses meanwhile.

    recorded: whether the server recorded the workload, which then has statements of its own and of tools.
    """

    def __init__(self, connection: Any, database: str, limits: Limits, *, recorded: bool = False) -> None:
        self._connection = connection
        self._recorded = recorded
        self._database = database
        self._limits = limits
        self._rewrites: dict[tuple[str, str], RewriteAdvice] = {}
        self._skipped: list[Skipped] = []
        self._notes: list[str] = []
        self._trigrams = False
        self._analysed = 0

    async def run(self, workload: Sequence[Statement], progress: Progress) -> Report:
        """Analyse the statements, the most expensive first."""
        schema = await read_schema(self._connection)
        self._trigrams = await self._available("pg_trgm")
        adopted = Adopted()
        async with AsyncExitStack() as stack:
            copy = await stack.enter_async_context(
                SampledCopy(self._connection, rows=self._limits.sample_rows, timeout=self._limits.timeout)
            )
            hypothetical = await Hypothetical.of(self._connection)
            copies = await self._can_copy(hypothetical)
            ordered = sorted(workload, key=lambda statement: -statement.seconds)
            for number, statement in enumerate(ordered):
                shown = tree.normalised(statement.sql)
                progress(number, len(ordered), shown)
                work = _Work(self._connection, schema, copy if copies else None, hypothetical, self._trigrams)
                try:
                    await self._one(work, statement, shown, adopted)
                except (asyncpg.PostgresError, postgast.PgQueryError) as error:
                    self._skipped.append(Skipped(statement=shown, reason=_reason(error)))
            progress(len(ordered), len(ordered), "")
            problems = await index_problems(self._connection, schema, adopted.serves)
        checked = "copy" if copies else "hypopg"
        return Report(
            database=self._database,
            server=f"PostgreSQL {await self._connection.fetchval('show server_version')}",
            analysed=self._analysed,
            indexes=adopted.advice(checked),
            rewrites=tuple(self._rewrites.values()),
            problems=problems,
            skipped=tuple(self._skipped),
            notes=tuple(self._notes),
        )

    async def _one(self, work: _Work, statement: Statement, shown: str, adopted: Adopted) -> None:
        reason = await work.read(statement.sql, shown)
        if reason is not None:
            if reason != NO_TABLE or not self._recorded:
                self._skipped.append(Skipped(statement=shown, reason=reason))
            return
        self._analysed += 1
        if not work.big:
            return
        try:
            await work.fill_in()
        except asyncpg.UndefinedParameterError:
            self._note(work)
            raise
        real = await work.real_plan()
        if real.cost < MIN_COST:
            return
        choice = await work.choose(adopted.of(work.tables))
        self._note(work, warnings=choice is not None)
        if choice is None:
            return
        gain = Gain(
            statement=shown,
            calls=statement.calls,
            seconds=statement.seconds,
            cost_before=round(real.cost, 2),
            cost_after=round(real.cost * choice.after / choice.before, 2),
            before=choice.run_before,
            after=choice.run_after,
            assumed=work.assumed,
        )
        for candidate in choice.kept:
            adopted.add(candidate, gain, work.sizes[candidate])

    def _note(self, work: _Work, *, warnings: bool = False) -> None:
        """Keep the rewrites; only the warnings where an index serves the statement."""
        for found in work.rewrites:
            if found.severity is Severity.WARNING or not warnings:
                self._rewrites.setdefault((found.statement, found.predicate), found)

    async def _available(self, extension: str) -> bool:
        query = "select count(*) > 0 from pg_available_extensions where name = $1"
        return bool(await self._connection.fetchval(query, extension))

    async def _can_copy(self, hypothetical: Hypothetical | None) -> bool:
        if await self._connection.fetchval("select pg_is_in_recovery()"):
            reason = "this server is a replica, which can hold no copies; connect to the primary"
        elif not await self._connection.fetchval("select has_database_privilege(current_database(), 'TEMP')"):
            reason = "this user may not create temporary tables; GRANT TEMPORARY ON DATABASE … TO it"
        else:
            return True
        how = "were checked with HypoPG only and not run" if hypothetical else "could not be checked, so none are shown"
        self._notes.append(f"Indexes {how}: {reason}.")
        return False


class _Work:
    """What is done for one statement."""

    def __init__(
        self,
        connection: Any,
        schema: Schema,
        copy: SampledCopy | None,
        hypothetical: Hypothetical | None,
        trigrams: bool,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._copy = copy
        self._hypothetical = hypothetical
        self._trigrams = trigrams
        self._real = ""
        self.big: set[str] = set()
        self.assumed = False
        self.sizes: dict[Candidate, int] = {}

    async def read(self, sql: str, shown: str) -> str | None:
        """Parse the statement. Returns why it can't be analysed, None where it can."""
        parsed = postgast.parse(sql)
        if len(parsed.stmts) != 1:
            return "more than one statement"
        self._parsed = parsed
        expand_views(parsed, self._schema)
        self.statement = parsed.stmts[0].stmt
        if tree.kind(self.statement) == "explain_stmt":
            self.statement.CopyFrom(self.statement.explain_stmt.query)
        if tree.kind(self.statement) not in KINDS:
            return "neither a query nor a change of rows"
        self.reader = Reader(self._schema, self.statement)
        if not self.reader.uses:
            return NO_TABLE
        self.tables = {use.table.qualified for use in self.reader.uses}
        self.big = {use.table.qualified for use in self.reader.uses if _is_big(use)}
        looked = Rewrites(self.reader, parsed)  # while literals and placeholders are as they came
        self.rewrites = looked.of(shown, big=self.big)
        self._needless = looked.keys
        return None

    async def fill_in(self) -> None:
        """Values for placeholders, and the statement as it would run on the real tables."""
        sources = {use.table.qualified: use.table.qualified for use in self.reader.uses}
        if self._copy is not None:
            sources = {use.table.qualified: await self._copy.add(use.table) for use in self.reader.uses}
        if tree.nodes(self.statement, "ParamRef"):
            self.assumed = True
            if not await fill_in(self._connection, self.statement, self.reader, sources):
                message = "no plausible value for a placeholder was found; give the statement with values"
                raise asyncpg.UndefinedParameterError(message)
        self._real = postgast.deparse(self._parsed)

    async def real_plan(self) -> Plan:
        """The plan on the real tables, with the indexes they have."""
        async with self._connection.transaction(readonly=tree.kind(self.statement) == "select_stmt"):
            return plan_of(json.loads(await self._connection.fetchval(f"explain (format json) {self._real}")), {})

    async def choose(self, adopted: frozenset[Candidate]) -> Choice | None:
        """The candidates worth making, checked at a copy, with HypoPG, or both."""
        found = dict.fromkeys(adopted)
        for use in self.reader.uses:
            if use.table.qualified in self.big:
                found.update(dict.fromkeys(candidates(use, trigrams=self._trigrams)))
        found = {
            one: None for one in found if not any(key.expression and key.sql in self._needless for key in one.keys)
        }
        made = list(found)[: MAX_CANDIDATES + len(adopted)]
        if not made or (self._copy is None and self._hypothetical is None):
            return None
        if self._copy is None:
            return await self._with_hypopg(made, adopted)
        runs = await self._may_run()
        self._copy.point(self.statement, self.reader.uses)
        async with self._copy.trial(postgast.deparse(self._parsed), made, runs=runs) as trial:
            choice = await choose(trial, adopted)
            if choice is None:
                return None
            self.sizes = {candidate: trial.bytes_of(candidate) for candidate in choice.kept}
        return choice if await self._confirmed(choice) else None

    async def _with_hypopg(self, made: list[Candidate], adopted: frozenset[Candidate]) -> Choice | None:
        assert self._hypothetical is not None  # noqa: S101 - asked by the caller
        async with self._hypothetical.trial(self._real, made) as trial:
            choice = await choose(trial, adopted & {*trial.candidates})
            if choice is not None:
                self.sizes = {candidate: trial.bytes_of(candidate) for candidate in choice.kept}
            return choice

    async def _confirmed(self, choice: Choice) -> bool:
        """Whether HypoPG, where it is installed and can say, agrees at the real size."""
        if self._hypothetical is None or any(candidate.method != "btree" for candidate in choice.kept):
            return True
        async with self._hypothetical.trial(self._real, choice.kept) as trial:
            if len(trial.candidates) < len(choice.kept):
                return True
            before, after = await trial.plan(()), await trial.plan(choice.kept)
            return after.cost <= COST_FACTOR * before.cost

    async def _may_run(self) -> bool:
        """Whether running the statement changes nothing: a SELECT without locks and volatile functions."""
        if tree.kind(self.statement) != "select_stmt":
            return False
        if any(
            tree.nodes(self.statement, kind) for kind in ("LockingClause", "IntoClause", "UpdateStmt", "DeleteStmt")
        ):
            return False
        called = list({name for call in tree.calls(self.statement) for name in [call]})
        query = "select not coalesce(bool_or(provolatile = 'v'), false) from pg_proc where proname = any($1)"
        return bool(await self._connection.fetchval(query, called))


def _is_big(use: Use) -> bool:
    return use.table.rows >= MIN_ROWS or use.table.pages >= MIN_PAGES


def _reason(error: Exception) -> str:
    """An error's first line without the values it may quote."""
    kind = type(error).__name__.removesuffix("Error")
    if isinstance(error, asyncpg.UndefinedParameterError):
        return str(error)
    if isinstance(error, (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)):
        return str(error)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return str(error)
    if isinstance(error, asyncpg.QueryCanceledError):
        return "took longer than the timeout"
    return (
        "its syntax could not be read"
        if isinstance(error, postgast.PgQueryError)
        else f"the server refused it ({kind})"
    )
