"""The analysis of an SQLite database: candidates are built on a copy of its file, and the statements run there."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite
import postgast

from seawall.database.advisor import tree
from seawall.database.advisor.candidates import Candidate, Key, candidates
from seawall.database.advisor.errors import AnalysisError
from seawall.database.advisor.merge import Adopted
from seawall.database.advisor.predicates import Kind, Use
from seawall.database.advisor.reader import Reader
from seawall.database.advisor.report import Gain, IndexProblem, Measured, Report, RewriteAdvice, Skipped, Statement
from seawall.database.advisor.rewrites import Rewrites
from seawall.database.advisor.schema import Schema, Table, quoted
from seawall.database.advisor.search import choose
from seawall.database.advisor.sqlite_schema import ROWID, always_quoted, one, read_schema
from seawall.database.advisor.sqlite_values import filled_in, numbered
from seawall.database.advisor.trial import Plan
from seawall.database.advisor.usage import foreign_key, redundant

MIN_ROWS = 10_000
"""A table with fewer rows is read faster than any index pays for."""

MIN_STEPS = 10_000
"""A statement with fewer steps is fast as it is."""

MAX_CANDIDATES = 20
"""Candidates for one statement; the simplest come first."""

_COUNTED = 100
"""Steps between two calls of the handler that counts them."""

_SHORT, _AGAIN = 50.0, 2
"""Milliseconds of a run that is made so many times again: of short ones the quickest counts, which nothing held up."""

_ENTRY = re.compile(r"USING (?:COVERING )?INDEX (\w+)")


async def analyze_sqlite(
    path: str, workload: Sequence[Statement], progress: Callable[[int, int, str], None], timeout: float = 10.0
) -> Report:
    """Analyse statements on a copy of the file, which is removed afterwards."""
    shown = f"sqlite:///{path}"
    if not await asyncio.to_thread(_is_file, path):
        raise AnalysisError(shown, "there is no such file; give sqlite:///path (four slashes for an absolute one)")
    if not workload:
        raise AnalysisError(shown, "SQLite keeps no statistics of statements; give some with --queries or --sql")
    with tempfile.TemporaryDirectory(prefix="seawall-analyze-") as directory:
        copy = str(Path(directory) / "copy.sqlite")
        try:
            await _back_up(path, copy)
            async with aiosqlite.connect(copy, isolation_level=None) as full, _memory() as bare:
                await full.executescript("pragma journal_mode = off; pragma synchronous = off;")
                return await _Analysis(full, bare, shown, timeout).run(workload, progress)
        except sqlite3.DatabaseError as error:
            raise AnalysisError(shown, f"SQLite says: {error}") from None


def _is_file(path: str) -> bool:
    return path not in {"", ":memory:"} and Path(path).is_file()


async def _back_up(path: str, copy: str) -> None:
    source = f"file:{quote(path)}?mode=ro"
    async with aiosqlite.connect(source, uri=True) as original, aiosqlite.connect(copy) as target:
        await original.backup(target)


def _memory() -> aiosqlite.Connection:
    return aiosqlite.connect(":memory:", isolation_level=None)


class _Analysis:
    def __init__(self, full: Any, bare: Any, shown: str, timeout: float) -> None:
        self._full = full
        self._bare = bare
        self._shown = shown
        self._timeout = timeout
        self._rewrites: dict[tuple[str, str], RewriteAdvice] = {}
        self._skipped: list[Skipped] = []
        self._analysed = 0

    async def run(self, workload: Sequence[Statement], progress: Callable[[int, int, str], None]) -> Report:
        schema = await read_schema(self._full)
        await self._copy_schema()
        adopted = Adopted()
        for number, statement in enumerate(workload):
            sql = numbered(statement.sql)
            shown = tree.normalised(sql)
            progress(number, len(workload), shown)
            try:
                await self._one(schema, sql, replace(statement, sql=shown), adopted)
            except postgast.PgQueryError:
                reason = "the parser, which is PostgreSQL's, can't read this SQLite syntax"
                self._skipped.append(Skipped(statement=shown, reason=reason))
            except sqlite3.Error as error:
                reason = f"SQLite refused it ({type(error).__name__})"
                self._skipped.append(Skipped(statement=shown, reason=reason))
        progress(len(workload), len(workload), "")
        return Report(
            database=self._shown,
            server=f"SQLite {sqlite3.sqlite_version}",
            analysed=self._analysed,
            indexes=adopted.advice("sqlite copy"),
            rewrites=tuple(self._rewrites.values()),
            problems=tuple([problem for table in schema for problem in await self._problems(schema, table, adopted)]),
            skipped=tuple(self._skipped),
        )

    async def _copy_schema(self) -> None:
        """The schema without rows, and the statistics: what the planner looks at."""
        for (sql,) in await self._full.execute_fetchall(
            "select sql from sqlite_master where sql is not null and name not like 'sqlite\\_%' escape '\\'"
            " order by type = 'index', type = 'view', type = 'trigger'"
        ):
            await self._bare.execute(sql)
        if await one(self._full, "select count(*) from sqlite_master where name = 'sqlite_stat1'"):
            rows = await self._full.execute_fetchall("select tbl, idx, stat from sqlite_stat1")
            await self._bare.execute("analyze")
            await self._bare.executemany("insert into sqlite_stat1 values (?, ?, ?)", [tuple(row) for row in rows])
            await self._bare.execute("analyze sqlite_master")

    async def _one(self, schema: Schema, sql: str, statement: Statement, adopted: Adopted) -> None:
        parsed = postgast.parse(sql)
        if len(parsed.stmts) != 1 or tree.kind(parsed.stmts[0].stmt) not in {
            "select_stmt",
            "update_stmt",
            "delete_stmt",
        }:
            self._skipped.append(Skipped(statement=statement.sql, reason="neither a query nor a change of rows"))
            return
        reader = Reader(schema, parsed.stmts[0].stmt)
        self._analysed += 1
        big = {use.table.qualified for use in reader.uses if use.table.rows >= MIN_ROWS}
        looked = Rewrites(reader, parsed)
        advice = looked.of(statement.sql, big=big)
        assumed = bool(tree.nodes(parsed, "ParamRef"))
        runs = tree.kind(parsed.stmts[0].stmt) == "select_stmt"
        text = await filled_in(self._full, sql, parsed, reader)
        trial = _Trial(self._full, self._bare, text, reader, runs=runs, timeout=self._timeout)
        base = await trial.plan(())
        if not big or base.cost < MIN_STEPS:
            return
        self._rewrites.update({(found.statement, found.predicate): found for found in advice})
        mine = adopted.of(big)
        found = dict.fromkeys(mine)
        for use in reader.uses:
            if use.table.qualified in big:
                found.update(dict.fromkeys(_for_sqlite(use, looked.keys)))
        await trial.build(list(found)[: MAX_CANDIDATES + len(mine)])
        try:
            choice = await choose(trial, mine)
        finally:
            await trial.clear()
        if choice is None:
            return
        gain = Gain(
            statement=statement.sql,
            calls=statement.calls,
            seconds=statement.seconds,
            cost_before=choice.before,
            cost_after=choice.after,
            before=choice.run_before,
            after=choice.run_after,
            assumed=assumed,
        )
        for candidate in choice.kept:
            adopted.add(candidate, gain, trial.bytes_of(candidate))

    async def _problems(self, schema: Schema, table: Table, adopted: Adopted) -> list[IndexProblem]:
        del schema
        found = list(redundant(table))
        keys: dict[int, tuple[str, list[str]]] = {}
        for row in await self._full.execute_fetchall(f"pragma foreign_key_list({always_quoted(table.name)})"):
            keys.setdefault(row[0], (row[2], []))[1].append(row[3])
        for target, columns in keys.values():
            if not adopted.serves(table.shown, columns):
                found += foreign_key(table, columns, target)
        return found


def _for_sqlite(use: Use, needless: Collection[str]) -> list[Candidate]:
    """The candidates that SQLite knows: B-trees without INCLUDE; LIKE needs the NOCASE order."""
    rowid = next((index.keys for index in use.table.indexes if index.name == ROWID), ())
    prefixes = {term.key for term in use.terms if term.kind is Kind.PREFIX}
    made: dict[Candidate, None] = {}
    for candidate in candidates(use):
        if candidate.method != "btree" or candidate.include or {key.sql for key in candidate.keys} & set(needless):
            continue
        if len(candidate.keys) > 1 and (candidate.keys[-1].sql,) == rowid:  # every index ends with it
            continue
        keys = tuple(
            Key(
                key.sql, key.descending, key.descending, "COLLATE NOCASE" if key.sql in prefixes else "", key.expression
            )
            for key in candidate.keys
        )
        made.setdefault(replace(candidate, keys=keys))
    return list(made)


class _Trial:
    """A statement with candidates. Costs are steps of SQLite's virtual machine, counted in a run on the full copy."""

    def __init__(self, full: Any, bare: Any, sql: str, reader: Reader, *, runs: bool, timeout: float) -> None:
        self._full = full
        self._bare = bare
        self._sql = sql
        self._reader = reader
        self._runs = runs
        self._timeout = timeout
        self._names: dict[str, Candidate] = {}
        self._known: dict[str, Measured] = {}
        self._built: set[str] = set()
        self.candidates: tuple[Candidate, ...] = ()
        self.refused: dict[Candidate, str] = {}

    async def build(self, made: Sequence[Candidate]) -> None:
        for number, candidate in enumerate(made):
            name = f"seawall_candidate_{number}"
            try:
                await self._bare.execute(candidate.definition(quoted(candidate.table.name), name))
            except sqlite3.Error as error:
                self.refused[candidate] = str(error)
                continue
            await self._bare.execute(f"drop index {name}")
            self._names[name] = candidate
        self.candidates = tuple(self._names.values())

    def bytes_of(self, candidate: Candidate) -> int:
        """Estimated from the columns: SQLite doesn't tell."""
        return int(candidate.table.rows * (6 + 9 * len(candidate.keys)))

    async def plan(self, kept: Collection[Candidate]) -> Plan:
        lines = await self._explain(kept)
        text = "\n".join(lines)
        used = frozenset(self._names[name] for name in _ENTRY.findall(text) if name in self._names)
        if not self._runs:
            return Plan(self._scanned(lines), used)
        if text not in self._known:
            self._known[text] = await self._measure(used)
        return Plan(float(self._known[text].buffers), used)

    async def run(self, kept: Collection[Candidate]) -> Measured | None:
        return self._known["\n".join(await self._explain(kept))] if self._runs else None

    async def clear(self) -> None:
        for name in self._built:
            await self._full.execute(f"drop index {name}")
        self._built.clear()

    async def _explain(self, kept: Collection[Candidate]) -> list[str]:
        """EXPLAIN QUERY PLAN on the schema alone, where indexes come and go at no cost."""
        await self._bare.execute("begin")
        try:
            for name, candidate in self._names.items():
                if candidate in kept:
                    await self._bare.execute(candidate.definition(quoted(candidate.table.name), name))
            return [row[3] for row in await self._bare.execute_fetchall(f"explain query plan {self._sql}")]
        finally:
            await self._bare.execute("rollback")

    async def _measure(self, used: Collection[Candidate]) -> Measured:
        wanted = {name for name, candidate in self._names.items() if candidate in used}
        for name in self._built - wanted:
            await self._full.execute(f"drop index {name}")
        for name in wanted - self._built:
            await self._full.execute(self._names[name].definition(quoted(self._names[name].table.name), name))
        self._built = wanted
        measured = await self._run_once()
        for _ in range(_AGAIN):
            if measured.milliseconds > _SHORT:
                break
            measured = min(measured, await self._run_once(), key=lambda run: run.milliseconds)
        return measured

    async def _run_once(self) -> Measured:
        steps, end = 0, time.monotonic() + self._timeout

        def count() -> int:
            nonlocal steps
            steps += _COUNTED
            return int(time.monotonic() > end)

        await self._full.set_progress_handler(count, _COUNTED)
        began = time.perf_counter()
        try:
            async with self._full.execute(self._sql) as cursor:
                while await cursor.fetchmany(1000):
                    pass
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
        finally:
            await self._full.set_progress_handler(None, 0)
        return Measured(buffers=max(steps, _COUNTED), milliseconds=(time.perf_counter() - began) * 1000, unit="steps")

    def _scanned(self, lines: Sequence[str]) -> float:
        """Rows that a statement which isn't run would read."""
        rows = {use.alias: use.table.rows for use in self._reader.uses} | {
            use.table.name: use.table.rows for use in self._reader.uses
        }
        cost = 1.0
        for line in lines:
            action, _, rest = line.partition(" ")
            if action == "SCAN":
                cost += rows.get(rest.removeprefix("TABLE ").split()[0], 0) * 10
        return cost
